// From samples to windows, and from windows to a report: what no network does.
//
// The numbers and rules are those of src/espressivo/{speech/*,report,model/classifier}.py.
// What was run with it, and what was not: docs/deploy.md.

package espressivo

import kotlin.math.PI
import kotlin.math.cos
import kotlin.math.pow
import kotlin.math.sqrt

const val SAMPLE_RATE = 16_000
const val FRAME = 512 // samples that one speech probability stands for (32 ms)
const val CONTEXT = 64 // samples of the frame before, which the network sees again
const val LEVEL = 0.1 // root mean square that the peak gets
const val DECAY_DB_S = 2.0 // how fast the peak decays
const val SHORT = 6 // frames; the peak is at most FAR_ABOVE_DB above the loudest of them,
const val LONG = 30 // and at most ABOVE_DB above it or as loud as the loudest of these;
const val FAR_ABOVE_DB = 45.0
const val ABOVE_DB = 15.0 // it is at least so much above the quietest of these
const val LOUDEST = 1e3 // peak at first, and after digital silence
const val QUIETEST = 1e-7 // what is below is digital silence
const val THRESHOLD = 0.5f // a frame at least this probable begins speech
const val RELEASE = 0.35f // a frame less probable than this is a pause
const val MIN_SPEECH = 8 // frames (0.256 s); shorter speech is dropped
const val MIN_PAUSE = 12 // frames (0.384 s); a shorter pause does not end a segment
const val OFFSET = 0.01f // least mean of a window, relative to its peak, that is removed
const val PAD = 1_536 // samples (0.096 s) before and after a segment

/** A span of the recording in samples, end exclusive. */
data class Segment(val start: Int, val end: Int) {
    val size get() = end - start
}

/** What the model says of one window, in the order of `emotions` and `dimensionNames`. */
class Estimate(
    val segment: Segment,
    val probabilities: FloatArray,
    /** Arousal and valence, 0 to 1, 0.5 is neutral; empty if the model gives none. */
    val dimensions: FloatArray = FloatArray(0),
)

/** The emotion in a recording, and when. */
class Report(
    val emotions: List<String>,
    val dimensionNames: List<String>,
    val segments: List<Segment>,
    val estimates: List<Estimate>,
    /** Lowest top probability of a certain estimate; null if the model has no such threshold. */
    val threshold: Double? = null,
) {
    /** Mean of the windows, weighted by duration; null when nobody speaks. */
    val probabilities: DoubleArray? = weightedMean(estimates) { it.probabilities }
    /** The same of the dimensions. */
    val dimensions: DoubleArray? = weightedMean(estimates) { it.dimensions }
    val emotion: String? = probabilities?.let { p -> emotions[p.indices.maxByOrNull { p[it] }!!] }
    /** Whether the model is not sure of `emotion`; null without speech, or without threshold. */
    val uncertain: Boolean? = probabilities?.let { p -> threshold?.let { p.max() < it } }

    /** The same of one window. */
    fun isUncertain(estimate: Estimate): Boolean? =
        threshold?.let { estimate.probabilities.max() < it }
}

/** Cuts frames without offset, each scaled by the peak level so far. */
class Leveller(private val samples: FloatArray) {
    private val decay = gain(-DECAY_DB_S * FRAME / SAMPLE_RATE)
    private val recent = DoubleArray(LONG) { QUIETEST }
    private var loudest = LOUDEST

    /** Returns the next `n` frames, [n, CONTEXT + FRAME]; zeros are around the recording. */
    fun frames(first: Int, n: Int): FloatArray {
        val width = CONTEXT + FRAME
        val frames = FloatArray(n * width)
        for (i in 0 until n) {
            val start = (first + i) * FRAME - CONTEXT
            val frame = DoubleArray(width) { samples.getOrElse(start + it) { 0f }.toDouble() }
            val amounts = SLOW.map { wave -> wave.indices.sumOf { wave[it] * frame[it] } }
            SLOW.forEachIndexed { k, wave ->
                for (j in frame.indices) frame[j] -= amounts[k] * wave[j]
            }
            val power = (CONTEXT until width).sumOf { frame[it] * frame[it] }
            val scale = LEVEL / peak(maxOf(sqrt(power / FRAME), QUIETEST))
            for (j in frame.indices) frames[i * width + j] = (frame[j] * scale).toFloat()
        }
        return frames
    }

    private fun peak(level: Double): Double {
        recent.copyInto(recent, 0, 1)
        recent[LONG - 1] = level
        val short = (LONG - SHORT until LONG).maxOf { recent[it] }
        if (short <= QUIETEST) {
            recent.fill(QUIETEST)
            loudest = LOUDEST
        } else {
            val most = maxOf(short * gain(ABOVE_DB), recent.max())
            val least = maxOf(level, recent.min() * gain(ABOVE_DB))
            loudest = maxOf(least, minOf(loudest * decay, short * gain(FAR_ABOVE_DB), most))
        }
        return loudest
    }

    private fun gain(db: Double) = 10.0.pow(db / 20)

    private companion object {
        // Orthonormal cosines of 0 to 42 Hz: an offset, its drift, and rumble.
        val SLOW = List(4) { k ->
            val n = CONTEXT + FRAME
            val size = sqrt((if (k == 0) 1.0 else 2.0) / n)
            DoubleArray(n) { size * cos(PI / n * k * (it + 0.5)) }
        }
    }
}

/** Hysteresis: speech probabilities to segments, in order, never overlapping. */
fun findSegments(probabilities: FloatArray, nSamples: Int): List<Segment> {
    val segments = mutableListOf<Segment>()
    var start = -1 // first frame of the open segment; -1 between segments
    var last = 0 // one past its last frame that is no pause
    fun close() {
        if (last - start >= MIN_SPEECH) {
            val end = minOf(last * FRAME + PAD, nSamples)
            segments += Segment(maxOf(0, start * FRAME - PAD), end)
        }
        start = -1
    }
    probabilities.forEachIndexed { n, p ->
        if (start < 0) {
            if (p >= THRESHOLD) start = n
            last = n + 1 // counts only once a segment is open
        } else if (p >= RELEASE) {
            last = n + 1
        } else if (n + 1 - last >= MIN_PAUSE) {
            close()
        }
    }
    if (start >= 0) close()
    return segments
}

/** Cuts a segment into windows: whole ones, then two equal ones, or one that fits. */
fun planWindows(segment: Segment, window: Int): List<Segment> {
    val windows = mutableListOf<Segment>()
    var start = segment.start
    while (segment.end - start > 2 * window) {
        windows += Segment(start, start + window)
        start += window
    }
    if (segment.end - start > window) {
        val middle = start + (segment.end - start + 1) / 2
        windows += Segment(start, middle)
        start = middle
    }
    return windows + Segment(start, segment.end)
}

/** Widens a window that is too short into what surrounds it, as far as there is any. */
fun widen(segment: Segment, minimum: Int, nSamples: Int): Segment {
    val missing = minimum - segment.size
    if (missing <= 0) return segment
    val end = minOf(maxOf(0, segment.start - missing / 2) + minimum, nSamples)
    return Segment(maxOf(0, end - minimum), end)
}

fun weightedMean(estimates: List<Estimate>, of: (Estimate) -> FloatArray): DoubleArray? {
    if (estimates.isEmpty()) return null
    val sums = DoubleArray(of(estimates[0]).size)
    for (e in estimates) {
        of(e).forEachIndexed { i, value -> sums[i] += value.toDouble() * e.segment.size }
    }
    val total = estimates.sumOf { it.segment.size }
    return DoubleArray(sums.size) { sums[it] / total }
}
