// From samples to windows, and from windows to a report: what no network does.
//
// The numbers and rules are those of src/espressivo/{speech/*,report,model/classifier}.py.
// What was run with it, and what was not: docs/deploy.md.

import Foundation

enum Speech {
    static let sampleRate = 16_000
    static let frame = 512  // samples that one speech probability stands for (32 ms)
    static let context = 64  // samples of the frame before, which the network sees again
    static let level = 0.1  // root mean square that the peak gets
    static let decayDbS = 2.0  // how fast the peak decays
    static let short = 6  // frames; the peak is at most farAboveDb above the loudest of them,
    static let long = 30  // and at most aboveDb above it or as loud as the loudest of these;
    static let farAboveDb = 45.0
    static let aboveDb = 15.0  // it is at least so much above the quietest of these
    static let loudest = 1e3  // peak at first, and after digital silence
    static let quietest = 1e-7  // what is below is digital silence
    static let threshold: Float = 0.5  // a frame at least this probable begins speech
    static let release: Float = 0.35  // a frame less probable than this is a pause
    static let minSpeech = 8  // frames (0.256 s); shorter speech is dropped
    static let minPause = 12  // frames (0.384 s); a shorter pause does not end a segment
    static let offset: Float = 0.01  // least mean of a window, of its peak, that is removed
    static let pad = 1_536  // samples (0.096 s) before and after a segment
}

/// A span of the recording in samples, end exclusive.
struct Segment: Equatable {
    let start, end: Int
    var size: Int { end - start }
}

/// What the model says of one window, in the order of `emotions` and `dimensionNames`.
struct Estimate {
    let segment: Segment
    let probabilities: [Float]
    /// Arousal and valence, 0 to 1, 0.5 is neutral; empty if the model gives none.
    let dimensions: [Float]
}

/// The emotion in a recording, and when.
struct Report {
    let emotions: [String]
    let dimensionNames: [String]
    let segments: [Segment]
    let estimates: [Estimate]
    /// Lowest top probability of a certain estimate; nil if the model has no such threshold.
    var threshold: Double?
    /// Mean of the windows, weighted by duration; nil when nobody speaks.
    var probabilities: [Double]? { weightedMean(estimates, \.probabilities) }
    /// The same of the dimensions.
    var dimensions: [Double]? { weightedMean(estimates, \.dimensions) }
    var emotion: String? {
        probabilities.map { p in emotions[p.indices.max { p[$0] < p[$1] }!] }
    }
    /// Whether the model is not sure of `emotion`; nil without speech, or without threshold.
    var uncertain: Bool? {
        guard let threshold, let top = probabilities?.max() else { return nil }
        return top < threshold
    }

    /// The same of one window.
    func isUncertain(_ estimate: Estimate) -> Bool? {
        threshold.map { Double(estimate.probabilities.max()!) < $0 }
    }
}

/// Cuts frames without offset, each scaled by the peak level so far.
struct Leveller {
    let samples: [Float]
    private let decay = Leveller.gain(
        -Speech.decayDbS * Double(Speech.frame) / Double(Speech.sampleRate))
    private var recent = [Double](repeating: Speech.quietest, count: Speech.long)
    private var loudest = Speech.loudest
    // Orthonormal cosines of 0 to 42 Hz: an offset, its drift, and rumble.
    private static let slow: [[Double]] = (0..<4).map { k in
        let n = Double(Speech.context + Speech.frame)
        let size = ((k == 0 ? 1 : 2) / n).squareRoot()
        return (0..<Int(n)).map { size * cos(Double.pi / n * Double(k) * (Double($0) + 0.5)) }
    }

    init(samples: [Float]) { self.samples = samples }

    /// Returns the next `n` frames, [n, context + frame]; zeros are around the recording.
    mutating func frames(from first: Int, _ n: Int) -> [Float] {
        let width = Speech.context + Speech.frame
        var frames: [Float] = []
        for i in 0..<n {
            let start = (first + i) * Speech.frame - Speech.context
            var frame = (start..<start + width).map {
                samples.indices.contains($0) ? Double(samples[$0]) : 0
            }
            let amounts = Self.slow.map { wave in zip(wave, frame).reduce(0) { $0 + $1.0 * $1.1 } }
            for (amount, wave) in zip(amounts, Self.slow) {
                for j in 0..<width { frame[j] -= amount * wave[j] }
            }
            let power = frame[Speech.context...].reduce(0) { $0 + $1 * $1 }
            let rms = (power / Double(Speech.frame)).squareRoot()
            let scale = Speech.level / peak(max(rms, Speech.quietest))
            frames += frame.map { Float($0 * scale) }
        }
        return frames
    }

    private mutating func peak(_ level: Double) -> Double {
        recent.removeFirst()
        recent.append(level)
        let short = recent.suffix(Speech.short).max()!
        if short <= Speech.quietest {
            recent = [Double](repeating: Speech.quietest, count: Speech.long)
            loudest = Speech.loudest
        } else {
            let most = max(short * Self.gain(Speech.aboveDb), recent.max()!)
            let far = short * Self.gain(Speech.farAboveDb)
            let least = max(level, recent.min()! * Self.gain(Speech.aboveDb))
            loudest = max(least, min(loudest * decay, far, most))
        }
        return loudest
    }

    private static func gain(_ db: Double) -> Double { pow(10, db / 20) }
}

/// Hysteresis: speech probabilities to segments, in order, never overlapping.
func findSegments(_ probabilities: [Float], _ nSamples: Int) -> [Segment] {
    var segments: [Segment] = []
    var start: Int?  // first frame of the open segment
    var last = 0  // one past its last frame that is no pause
    func close(_ first: Int) {
        if last - first >= Speech.minSpeech {
            let end = min(last * Speech.frame + Speech.pad, nSamples)
            segments.append(Segment(start: max(0, first * Speech.frame - Speech.pad), end: end))
        }
        start = nil
    }
    for (n, p) in probabilities.enumerated() {
        guard let first = start else {
            if p >= Speech.threshold { (start, last) = (n, n + 1) }
            continue
        }
        if p >= Speech.release {
            last = n + 1
        } else if n + 1 - last >= Speech.minPause {
            close(first)
        }
    }
    if let first = start { close(first) }
    return segments
}

/// Cuts a segment into windows: whole ones, then two equal ones, or one that fits.
func planWindows(_ segment: Segment, _ window: Int) -> [Segment] {
    var windows: [Segment] = []
    var start = segment.start
    while segment.end - start > 2 * window {
        windows.append(Segment(start: start, end: start + window))
        start += window
    }
    if segment.end - start > window {
        let middle = start + (segment.end - start + 1) / 2
        windows.append(Segment(start: start, end: middle))
        start = middle
    }
    return windows + [Segment(start: start, end: segment.end)]
}

/// Widens a window that is too short into what surrounds it, as far as there is any.
func widen(_ segment: Segment, _ minimum: Int, _ nSamples: Int) -> Segment {
    let missing = minimum - segment.size
    if missing <= 0 { return segment }
    let end = min(max(0, segment.start - missing / 2) + minimum, nSamples)
    return Segment(start: max(0, end - minimum), end: end)
}

func weightedMean(_ estimates: [Estimate], _ of: KeyPath<Estimate, [Float]>) -> [Double]? {
    guard let first = estimates.first else { return nil }
    let total = estimates.reduce(0.0) { $0 + Double($1.segment.size) }
    return first[keyPath: of].indices.map { i -> Double in
        estimates.reduce(0.0) { $0 + Double($1[keyPath: of][i]) * Double($1.segment.size) } / total
    }
}
