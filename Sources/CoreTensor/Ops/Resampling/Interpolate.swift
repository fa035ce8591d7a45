/// How ``interpolate(_:size:scaleFactor:mode:alignCorners:recomputeScaleFactor:antialias:)`` finds values between elements.
public enum InterpolationMode: String, Sendable {
    /// The element at or before the place, as PyTorch's `nearest`.
    case nearest
    /// The element whose centre is nearest.
    case nearestExact = "nearest-exact"
    /// Between two neighbours, one spatial axis.
    case linear
    /// Linear along two axes.
    case bilinear
    /// Linear along three axes.
    case trilinear
    /// Between four neighbours (Keys, 1981, with a = -3/4), two axes.
    case bicubic
    /// The mean of the elements under an output place.
    case area

    /// The number of spatial axes it is for; nil: one to three.
    var rank: Int? {
        switch self {
        case .linear: 1
        case .bilinear, .bicubic: 2
        case .trilinear: 3
        default: nil
        }
    }
}

/// The weights of one axis' interpolation.
private struct AxisSampling {
    let mode: InterpolationMode
    let input, output: Int
    /// Output places per input place, where it is not that of the sizes.
    let scale: Double?
    let alignCorners, antialias: Bool

    /// Input places per output place.
    var step: Double {
        if alignCorners { return output > 1 ? Double(input - 1) / Double(output - 1) : 0 }
        return scale.map { 1 / $0 } ?? Double(input) / Double(output)
    }

    var map: AxisMap {
        switch mode {
        case .nearest, .nearestExact: return AxisMap(inputs: input, outputs: output) { [(nearest($0), 1)] }
        case .area:
            let axis = adaptiveAxis(input: input, output: output)
            return AxisMap(inputs: input, outputs: output) { o in
                (0..<axis.counts[o]).map { (axis.starts[o] + $0, 1 / Double(axis.counts[o])) }
            }
        case .linear, .bilinear, .trilinear:
            return AxisMap(inputs: input, outputs: output) { antialias ? filtered($0, support: 1, tent) : linear($0) }
        case .bicubic:
            return AxisMap(inputs: input, outputs: output) {
                antialias ? filtered($0, support: 2) { cubicWeight($0, a: -0.5) } : cubic($0)
            }
        }
    }

    /// PyTorch finds the place in float32, which decides at ties.
    private func nearest(_ o: Int) -> Int {
        let step = scale.map { Float(1 / $0) } ?? Float(input) / Float(output)
        let place = mode == .nearest ? Float(o) * step : (Float(o) + 0.5) * step
        return Swift.min(Int(place.rounded(.down)), input - 1)
    }

    private func linear(_ o: Int) -> [(source: Int, weight: Double)] {
        let place = alignCorners ? step * Double(o) : Swift.max(step * (Double(o) + 0.5) - 0.5, 0)
        let low = Swift.min(Int(place), input - 1), high = Swift.min(low + 1, input - 1)
        let part = Swift.min(Swift.max(place - Double(low), 0), 1)
        return [(low, 1 - part), (high, part)]
    }

    private func cubic(_ o: Int) -> [(source: Int, weight: Double)] {
        let place = alignCorners ? step * Double(o) : step * (Double(o) + 0.5) - 0.5
        let low = Int(place.rounded(.down)), part = place - Double(low)
        return (-1...2).map { k in
            (Swift.min(Swift.max(low + k, 0), input - 1), cubicWeight(Double(k) - part, a: -0.75))
        }
    }

    /// A filter as wide as an output place, where those are larger than the input's.
    private func filtered(_ o: Int, support: Double, _ filter: (Double) -> Double) -> [(source: Int, weight: Double)] {
        let width = Swift.max(step, 1), reach = support * width, centre = step * (Double(o) + 0.5)
        let low = Swift.max(Int(centre - reach + 0.5), 0), high = Swift.min(Int(centre + reach + 0.5), input)
        let weights = (low..<Swift.max(high, low)).map { filter((Double($0) - centre + 0.5) / width) }
        let total = weights.reduce(0, +)
        return weights.enumerated().map { (low + $0, total == 0 ? $1 : $1 / total) }
    }

    private func tent(_ x: Double) -> Double { Swift.max(1 - Swift.abs(x), 0) }
}

/// Keys' cubic convolution kernel.
func cubicWeight(_ x: Double, a: Double) -> Double {
    let x = Swift.abs(x)
    if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
    return 0
}

/// A tensor resampled along its spatial axes: `x [batch, channels, 1 to 3 axes]` gives `[batch, channels, size...]`.
///
/// The size is given, or is ⌊axis · scaleFactor⌋. With `alignCorners` (for linear and cubic modes) the first and last elements keep
/// their places; otherwise elements are squares side by side. Unless `recomputeScaleFactor`, a given `scaleFactor` also says how far
/// apart the places lie, which rounding of the size may contradict. `antialias` (bilinear and bicubic) widens the filter when
/// shrinking. uint8 is rounded
/// after each axis (and not for `area`). Traps if neither or both of `size` and `scaleFactor` are given, or the mode does not fit.
public func interpolate(
    _ x: Tensor, size: SpatialSizes? = nil, scaleFactor: [Double]? = nil, mode: InterpolationMode = .nearest,
    alignCorners: Bool = false,
    recomputeScaleFactor: Bool = false, antialias: Bool = false
) -> Tensor {
    let rank = x.rank - 2
    if !(1...3).contains(rank) || (mode.rank ?? rank) != rank {
        fail(
            "interpolate",
            "mode \(mode) for an input of shape \(x.shape) ([batch, channels, \(mode.rank.map { "\($0)" } ?? "1 to 3") axes])")
    }
    if (size == nil) == (scaleFactor == nil) { fail("interpolate", "needs either a size or a scaleFactor") }
    if antialias && mode != .bilinear && mode != .bicubic { fail("interpolate", "antialias goes with bilinear and bicubic only") }
    let isNearest = mode == .nearest || mode == .nearestExact
    if alignCorners && (isNearest || mode == .area) { fail("interpolate", "alignCorners does not go with mode \(mode)") }
    if !x.dtype.isFloatingPoint && !(x.dtype == .uint8 && mode != .area) {
        fail("interpolate", "mode \(mode) of \(x.dtype); convert with to(.float32)")
    }
    let input = Array(x.shape[2...])
    var scales: [Double?] = input.map { _ in nil }
    var output: [Int]
    if let size {
        output = size.expanded("interpolate", "size", rank: rank, atLeast: 1)
    } else {
        let factors = scaleFactor!.count == 1 ? [Double](repeating: scaleFactor![0], count: rank) : scaleFactor!
        if factors.count != rank { fail("interpolate", "\(factors.count) scale factors for \(rank) spatial axes") }
        output = zip(input, factors).map { Int((Double($0) * $1).rounded(.down)) }
        if !recomputeScaleFactor { scales = factors }
        if output.contains(where: { $0 < 1 }) { fail("interpolate", "scale factors \(factors) leave nothing of \(input)") }
    }
    if input.contains(0) { fail("interpolate", "an input of shape \(x.shape) has no places") }
    let maps = (0..<rank).map { i in
        AxisSampling(
            mode: mode, input: input[i], output: output[i], scale: mode == .area ? nil : scales[i], alignCorners: alignCorners,
            antialias: antialias
        ).map
    }
    if x.dtype == .uint8 {
        // As PyTorch's: the last axis first, and whole numbers (halves up) after each.
        return (0..<rank).reversed().reduce(x.to(.float32)) {
            floor($0.mapped(axis: $1 + 2, by: maps[$1]) + 0.5).clamped(min: 0, max: 255)
        }.to(.uint8)
    }
    return x.mappedTrailing(by: maps)
}
