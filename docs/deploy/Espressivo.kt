// espressivo on Android: mono samples at 16 kHz in, emotions out.
//
// Needs Speech.kt beside it, com.microsoft.onnxruntime:onnxruntime-android, and org.json,
// which Android has. What was run with it, and what was not: docs/deploy.md.

package espressivo

import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import java.nio.FloatBuffer
import java.security.MessageDigest
import kotlin.math.abs
import kotlin.math.roundToInt
import org.json.JSONObject

private const val STATE = 128 // width of the speech detector's two states
private val DIMENSIONS = listOf("arousal", "valence", "dominance") // as the graph orders them
private const val AT_ONCE = 1_024 // frames in one call of the speech detector

/** A model folder, opened; `read` gives the bytes of a file in it. */
class Espressivo(private val read: (file: String) -> ByteArray) : AutoCloseable {
    private val env = OrtEnvironment.getEnvironment()
    private val card = JSONObject(String(read("model.json"))).also {
        require(it.getInt("format_version") == 1) { "model.json: not of format_version 1" }
        require(it.getInt("sample_rate_hz") == SAMPLE_RATE) { "model.json: not for 16 kHz" }
    }
    private val threshold = card.optJSONObject("certainty")?.getDouble("threshold")
    private val names = card.getJSONArray("emotions")
    private val window = (card.getDouble("window_s") * SAMPLE_RATE).roundToInt()
    private val minimum = (card.getDouble("min_s") * SAMPLE_RATE).roundToInt()
    private val vad = open(read("silero_vad.onnx"))
    private val model = open(verified("model.onnx", card.getString("sha256")))
    val emotions = List(names.length()) { names.getString(it) }
    val dimensions = DIMENSIONS.filter { card.optJSONObject("dimensions")?.has(it) == true }

    /** Analyses mono samples at 16 kHz, finite, in -1..1; not on the main thread. */
    fun analyze(samples: FloatArray): Report {
        val segments = findSegments(speech(samples), samples.size)
        val windows = segments.flatMap { planWindows(it, window) }
        val estimates = windows.map { widen(it, minimum, samples.size) }.map {
            val span = samples.copyOfRange(it.start, it.end)
            val mean = span.average().toFloat() // the model takes an offset for loudness
            val offset = if (abs(mean) < OFFSET * span.maxOf { abs(it) }) 0f else mean
            val centred = FloatArray(span.size) { i -> span[i] - offset }
            val signal = centred.copyOf(maxOf(it.size, minimum))
            val input = mapOf("samples" to tensor(signal))
            val (probabilities, levels) = run(model, input, "probabilities", "dimensions")
            Estimate(it, probabilities, levels)
        }
        return Report(emotions, dimensions, segments, estimates, threshold)
    }

    /** The speech probability of every frame; the last one is filled up with zeros. */
    fun speech(samples: FloatArray): FloatArray {
        val probabilities = FloatArray((samples.size + FRAME - 1) / FRAME)
        val leveller = Leveller(samples)
        var h = FloatArray(STATE)
        var c = FloatArray(STATE)
        for (first in probabilities.indices step AT_ONCE) {
            val n = minOf(AT_ONCE, probabilities.size - first)
            val input = mapOf(
                "input" to tensor(leveller.frames(first, n), n, CONTEXT + FRAME),
                "h" to tensor(h, 1, 1, STATE),
                "c" to tensor(c, 1, 1, STATE),
            )
            val (found, hn, cn) = run(vad, input, "speech_probs", "hn", "cn")
            found.copyInto(probabilities, first)
            h = hn
            c = cn
        }
        return probabilities
    }

    override fun close() = listOf(vad, model).forEach { it.close() }

    private fun verified(file: String, sha256: String): ByteArray = read(file).also { bytes ->
        val digest = MessageDigest.getInstance("SHA-256").digest(bytes)
        val found = digest.joinToString("") { "%02x".format(it) }
        require(found == sha256) { "$file: sha256 is $found, not $sha256 as model.json says" }
    }

    private fun open(graph: ByteArray): OrtSession = OrtSession.SessionOptions().let {
        it.setIntraOpNumThreads(1) // a window's numbers are then the same on every machine size
        env.createSession(graph, it)
    }

    private fun tensor(values: FloatArray, vararg shape: Int = intArrayOf(1, values.size)) =
        OnnxTensor.createTensor(
            env, FloatBuffer.wrap(values), LongArray(shape.size) { shape[it].toLong() }
        )

    /** The wanted outputs; an empty one for an output that the graph does not have. */
    private fun run(session: OrtSession, inputs: Map<String, OnnxTensor>, vararg wanted: String) =
        try {
            val there = session.outputNames
            session.run(inputs, wanted.filter { it in there }.toSet()).use { result ->
                wanted.map { name ->
                    if (name !in there) return@map FloatArray(0)
                    val values = (result.get(name).get() as OnnxTensor).floatBuffer
                    FloatArray(values.remaining()).also { values.get(it) }
                }
            }
        } finally {
            inputs.values.forEach { it.close() }
        }
}
