/// Sizes of a convolution, brought to three axes (leading ones of size 1 where there are fewer).
///
/// Output place `o` and tap `t` meet input place `o · stride - padding + t · dilation`; places outside the input count as 0. The
/// padding after the last place follows from the output's size.
public struct ConvolutionPlan: Sendable {
    /// Samples, groups, and input and output channels of one group.
    public var batch, groups, inputs, outputs: Int
    /// Sizes of the input, the output and the kernel along the three axes.
    public var input, output, kernel: [Int]
    /// Steps along the three axes, and the padding before the first place.
    public var stride, padding, dilation: [Int]
}

/// The windows of a pooling along one axis: window `o` covers `starts[o]`, `starts[o] + step` …, `counts[o]` places, all inside.
public struct PoolAxis: Sendable {
    /// Size of the input along the axis.
    public var input: Int
    /// Distance between a window's places: the dilation.
    public var step: Int
    /// First place of each window.
    public var starts: [Int]
    /// Number of places of each window, at least 1.
    public var counts: [Int]
    /// Number of windows.
    public var output: Int { starts.count }
    /// Window `o` covers the places 2o and 2o + 1.
    var isInPairs: Bool {
        step == 1 && counts.allSatisfy { $0 == 2 } && starts.indices.allSatisfy { starts[$0] == 2 * $0 }
    }
}

/// A sparse linear map along one axis: output `j` is the sum over `first[j] ..< first[j + 1]` of `weights[e] · x[sources[e]]`.
public final class AxisMap: Sendable {
    /// Sizes of the axis before and after.
    public let inputs, outputs: Int
    /// Where the entries of each output begin; one more number than outputs.
    public let first: [Int]
    /// The input place of each entry.
    public let sources: [Int]
    /// The factor of each entry.
    public let weights: [Double]

    /// A map from its entries; nothing is checked.
    public init(inputs: Int, first: [Int], sources: [Int], weights: [Double]) {
        self.inputs = inputs
        outputs = first.count - 1
        self.first = first
        self.sources = sources
        self.weights = weights
    }

    /// A map whose output `j` has the entries `entries(j)`: places and factors.
    convenience init(inputs: Int, outputs: Int, _ entries: (Int) -> [(source: Int, weight: Double)]) {
        var first = [0]
        var sources: [Int] = []
        var weights: [Double] = []
        for j in 0..<outputs {
            for entry in entries(j) {
                sources.append(entry.source)
                weights.append(entry.weight)
            }
            first.append(sources.count)
        }
        self.init(inputs: inputs, first: first, sources: sources, weights: weights)
    }

    /// The adjoint: the map of the gradient.
    public var transposed: AxisMap {
        var first = [Int](repeating: 0, count: inputs + 1)
        for source in sources { first[source + 1] += 1 }
        for i in 0..<inputs { first[i + 1] += first[i] }
        var next = first
        var back = sources, factors = weights
        for j in 0..<outputs {
            for e in self.first[j]..<self.first[j + 1] {
                let place = next[sources[e]]
                next[sources[e]] += 1
                back[place] = j
                factors[place] = weights[e]
            }
        }
        return AxisMap(inputs: outputs, first: first, sources: back, weights: factors)
    }
}

/// What a normalisation per channel runs over: `[batch, channels, inner]`.
public struct ChannelNormPlan: Sendable {
    /// Sizes of the input.
    public var batch, channels, inner: Int
    /// 0: statistics per channel over the batch. Otherwise per sample and group of channels.
    public var groups: Int
    /// What is added to the variance before the root is taken.
    public var eps: Double
    /// Whether the output's ReLU is taken in the same pass.
    public var isRectified = false
    /// The number of means and variances.
    public var sets: Int { groups == 0 ? channels : batch * groups }
}
