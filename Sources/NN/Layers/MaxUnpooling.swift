import CoreTensor

/// What layers that undo max pooling share.
public class MaxUnpool: Module {
    /// Places of a window.
    public let kernelSize: SpatialSizes
    /// Distance between windows; nil: `kernelSize`.
    public let stride: SpatialSizes?
    /// Places that the pooling added at both ends.
    public let padding: SpatialSizes
    var spatialRank: Int { 1 }

    /// The pooling that is undone.
    public init(kernelSize: SpatialSizes, stride: SpatialSizes? = nil, padding: SpatialSizes = 0) {
        self.kernelSize = kernelSize
        self.stride = stride
        self.padding = padding
    }

    /// Values at their places, 0 elsewhere; without `outputSize` the smallest that the pooling could have had.
    public final func callAsFunction(_ x: Tensor, indices: Tensor, outputSize: [Int]? = nil) -> Tensor {
        let name = "\(type(of: self))", rank = spatialRank
        if x.rank <= rank { fail(name, "an input of shape \(x.shape) for \(rank) spatial axes") }
        let kernel = kernelSize.expanded(name, "kernelSize", rank: rank, atLeast: 1)
        let step = stride?.expanded(name, "stride", rank: rank, atLeast: 1) ?? kernel
        let pad = padding.expanded(name, "padding", rank: rank, atLeast: 0)
        let size = (0..<rank).map { (i: Int) -> Int in
            let windows = x.shape[x.rank - rank + i]
            return (windows - 1) * step[i] - 2 * pad[i] + kernel[i]
        }
        return maxUnpool(x, indices: indices, outputSize: outputSize ?? size)
    }
}

/// Undoes ``MaxPool1d``; see ``maxUnpool(_:indices:outputSize:)``.
public final class MaxUnpool1d: MaxUnpool { override var spatialRank: Int { 1 } }

/// Undoes ``MaxPool2d``; see ``maxUnpool(_:indices:outputSize:)``.
public final class MaxUnpool2d: MaxUnpool { override var spatialRank: Int { 2 } }

/// Undoes ``MaxPool3d``; see ``maxUnpool(_:indices:outputSize:)``.
public final class MaxUnpool3d: MaxUnpool { override var spatialRank: Int { 3 } }
