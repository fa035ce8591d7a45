/// The windows of a pooling along one axis, before they are cut to the input.
struct WindowGeometry {
    let operation: String
    let kernel, stride, padding, dilation, input, output: [Int]

    /// PyTorch's rules: the padding is at most half a window; with `ceilMode` a last window may go over the end, if it starts inside
    /// the input or the padding before it.
    init(
        _ operation: String, _ x: Tensor, rank: Int, kernelSize: SpatialSizes, stride: SpatialSizes?, padding: SpatialSizes,
        dilation: SpatialSizes = 1, ceilMode: Bool
    ) {
        self.operation = operation
        checkPooled(operation, x, rank: rank)
        let kernel = kernelSize.expanded(operation, "kernelSize", rank: rank, atLeast: 1)
        let stride = stride?.expanded(operation, "stride", rank: rank, atLeast: 1) ?? kernel
        let padding = padding.expanded(operation, "padding", rank: rank, atLeast: 0)
        let dilation = dilation.expanded(operation, "dilation", rank: rank, atLeast: 1)
        let input = Array(x.shape[(x.rank - rank)...])
        var output: [Int] = []
        for i in 0..<rank {
            let reach = dilation[i] * (kernel[i] - 1) + 1
            if padding[i] > reach / 2 {
                fail(operation, "padding \(padding) is more than half of a window of \(kernel) with dilation \(dilation)")
            }
            let room = input[i] + 2 * padding[i] - reach
            var size = floorDivide(room + (ceilMode ? stride[i] - 1 : 0), stride[i]) + 1
            if ceilMode && (size - 1) * stride[i] >= input[i] + padding[i] { size -= 1 }
            if size < 1 { fail(operation, "windows of \(kernel) are larger than an input of \(input) with padding \(padding)") }
            output.append(size)
        }
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.input = input
        self.output = output
    }

    /// The windows of axis `i`, cut to the input.
    func axis(_ i: Int) -> PoolAxis {
        var starts: [Int] = [], counts: [Int] = []
        for o in 0..<output[i] {
            let first = o * stride[i] - padding[i]
            let skipped = first < 0 ? (-first + dilation[i] - 1) / dilation[i] : 0
            let start = first + skipped * dilation[i]
            let fits = start < input[i] ? (input[i] - 1 - start) / dilation[i] + 1 : 0
            starts.append(start)
            counts.append(Swift.min(kernel[i] - skipped, fits))
        }
        return PoolAxis(input: input[i], step: dilation[i], starts: starts, counts: counts)
    }

    /// How many places of window `o` lie in the input or its padding (not in what `ceilMode` adds).
    func extent(_ i: Int, _ o: Int) -> Int {
        let first = o * stride[i] - padding[i]
        return Swift.min(first + kernel[i], input[i] + padding[i]) - first
    }
}

func checkPooled(_ operation: String, _ x: Tensor, rank: Int) {
    let isShaped = x.rank == rank + 1 || x.rank == rank + 2
    if !isShaped || x.dtype == .bool || x.dtype.isComplex || x.dtype.isStorageOnly || x.shape[(x.rank - rank - 1)...].contains(0)
    {
        fail(
            operation,
            "an input of shape \(x.shape) and type \(x.dtype); needs numbers [batch, channels, \(rank) axes] or [channels, \(rank) axes]"
        )
    }
}

private func floorDivide(_ a: Int, _ b: Int) -> Int { a >= 0 ? a / b : -((-a + b - 1) / b) }

/// The windows of adaptive pooling: window `o` of `output` runs from ⌊o · input / output⌋ to ⌈(o + 1) · input / output⌉.
func adaptiveAxis(input: Int, output: Int) -> PoolAxis {
    let starts = (0..<output).map { $0 * input / output }
    let ends = (0..<output).map { (($0 + 1) * input + output - 1) / output }
    return PoolAxis(input: input, step: 1, starts: starts, counts: zip(starts, ends).map { $1 - $0 })
}

/// An output size per axis; nil keeps the input's.
public struct AdaptiveSizes: Sendable, ExpressibleByIntegerLiteral, ExpressibleByArrayLiteral {
    let list: [Int?]
    /// The same size along every axis.
    public init(_ size: Int) { list = [size] }
    /// A size per axis; nil keeps the input's.
    public init(_ sizes: [Int?]) { list = sizes }
    /// The same size along every axis.
    public init(integerLiteral value: Int) { list = [value] }
    /// A size per axis; nil keeps the input's.
    public init(arrayLiteral elements: Int?...) { list = elements }

    func expanded(_ operation: String, _ input: [Int]) -> [Int] {
        if list.count != 1 && list.count != input.count {
            fail(operation, "an output of \(list.count) sizes for \(input.count) spatial axes")
        }
        return input.indices.map { i in
            let size = (list.count == 1 ? list[0] : list[i]) ?? input[i]
            if size < 0 { fail(operation, "an output of size \(size)") }
            return size
        }
    }
}
