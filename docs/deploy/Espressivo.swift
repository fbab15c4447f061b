// espressivo on iOS: mono samples at 16 kHz in, emotions out.
//
// Needs Speech.swift beside it, and the package onnxruntime-swift-package-manager or the
// pod onnxruntime-objc. What was run with it, and what was not: docs/deploy.md.

import CryptoKit
import Foundation
import OnnxRuntimeBindings  // with CocoaPods: import onnxruntime_objc

struct ModelError: Error { let message: String }

/// A model folder, opened.
final class Espressivo {
    private struct Card: Decodable {
        struct Certainty: Decodable { let threshold: Double }
        struct Meaning: Decodable {}
        let format_version, sample_rate_hz: Int
        let window_s, min_s: Double
        let emotions: [String]
        let sha256: String
        let certainty: Certainty?
        let dimensions: [String: Meaning]?
    }

    private static let state = 128  // width of the speech detector's two states
    private static let atOnce = 1_024  // frames in one call of the speech detector

    let emotions: [String]
    let dimensions: [String]
    private let threshold: Double?
    private let window, minimum: Int
    private let env: ORTEnv  // has to outlive the sessions
    private let vad, model: ORTSession

    init(folder: URL) throws {
        setenv("ORT_DISABLE_TELEMETRY", "1", 1)
        let json = try Data(contentsOf: folder.appendingPathComponent("model.json"))
        let card = try JSONDecoder().decode(Card.self, from: json)
        guard card.format_version == 1, card.sample_rate_hz == Speech.sampleRate else {
            throw ModelError(message: "model.json: not of format_version 1, or not for 16 kHz")
        }
        emotions = card.emotions
        let named = card.dimensions ?? [:]
        // As the graph orders them.
        dimensions = ["arousal", "valence", "dominance"].filter { named[$0] != nil }
        threshold = card.certainty?.threshold
        window = Int((card.window_s * Double(Speech.sampleRate)).rounded())
        minimum = Int((card.min_s * Double(Speech.sampleRate)).rounded())
        let env = try ORTEnv(loggingLevel: .warning)
        func open(_ file: String, sha256: String? = nil) throws -> ORTSession {
            let url = folder.appendingPathComponent(file)
            let digest = SHA256.hash(data: try Data(contentsOf: url))
            let found = digest.map { String(format: "%02x", $0) }.joined()
            if let sha256, sha256 != found {
                throw ModelError(message: "\(file): sha256 is \(found), not \(sha256)")
            }
            let options = try ORTSessionOptions()
            // A window's numbers are then the same on every machine size.
            try options.setIntraOpNumThreads(1)
            return try ORTSession(env: env, modelPath: url.path, sessionOptions: options)
        }
        self.env = env
        vad = try open("silero_vad.onnx")
        model = try open("model.onnx", sha256: card.sha256)
    }

    /// Analyses mono samples at 16 kHz, finite, in -1..1; not on the main thread.
    func analyze(_ samples: [Float]) throws -> Report {
        let segments = findSegments(try speech(samples), samples.count)
        var estimates: [Estimate] = []
        for planned in segments.flatMap({ planWindows($0, window) }) {
            let span = widen(planned, minimum, samples.count)
            let missing = max(0, minimum - span.size)
            let spoken = samples[span.start..<span.end]
            // The model takes an offset for loudness.
            let mean = Float(spoken.reduce(0.0) { $0 + Double($1) } / Double(spoken.count))
            let peak = spoken.reduce(0) { max($0, abs($1)) }
            let offset = abs(mean) < Speech.offset * peak ? 0 : mean
            let signal = spoken.map { $0 - offset } + [Float](repeating: 0, count: missing)
            let input = ["samples": try tensor(Array(signal))]
            let rows = try run(model, input, "probabilities", "dimensions")
            estimates.append(
                Estimate(segment: span, probabilities: rows[0], dimensions: rows[1]))
        }
        return Report(
            emotions: emotions, dimensionNames: dimensions, segments: segments,
            estimates: estimates, threshold: threshold)
    }

    /// The speech probability of every frame; the last one is filled up with zeros.
    func speech(_ samples: [Float]) throws -> [Float] {
        let total = (samples.count + Speech.frame - 1) / Speech.frame
        var leveller = Leveller(samples: samples)
        var h = [Float](repeating: 0, count: Self.state)
        var c = h
        var probabilities: [Float] = []
        while probabilities.count < total {
            let n = min(Self.atOnce, total - probabilities.count)
            let frames = leveller.frames(from: probabilities.count, n)
            let input = [
                "input": try tensor(frames, [n, Speech.context + Speech.frame]),
                "h": try tensor(h, [1, 1, Self.state]),
                "c": try tensor(c, [1, 1, Self.state]),
            ]
            let found = try run(vad, input, "speech_probs", "hn", "cn")
            probabilities += found[0]
            (h, c) = (found[1], found[2])
        }
        return probabilities
    }

    private func tensor(_ values: [Float], _ shape: [Int]? = nil) throws -> ORTValue {
        let data = values.withUnsafeBytes {
            NSMutableData(bytes: $0.baseAddress!, length: $0.count)
        }
        let axes = (shape ?? [1, values.count]).map { NSNumber(value: $0) }
        return try ORTValue(tensorData: data, elementType: .float, shape: axes)
    }

    /// The wanted outputs; an empty one for an output that the graph does not have.
    private func run(
        _ session: ORTSession, _ inputs: [String: ORTValue], _ wanted: String...
    ) throws -> [[Float]] {
        let there = Set(wanted).intersection(try session.outputNames())
        let found = try session.run(withInputs: inputs, outputNames: there, runOptions: nil)
        return try wanted.map { name in
            guard let value = found[name] else { return [] }
            let data = try value.tensorData()
            var values = [Float](repeating: 0, count: data.length / MemoryLayout<Float>.size)
            data.getBytes(&values, length: data.length)
            return values
        }
    }
}
