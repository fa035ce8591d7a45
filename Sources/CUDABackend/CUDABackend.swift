import CCUDA
import CoreTensor

/// Runs operations on one GPU. What has no kernel says so by its name; nothing is copied to the CPU in silence.
public final class CUDABackend: Backend {
    let context: CUDAContext
    /// The device that the backend runs.
    public let device: Device
    /// cuBLASLt, where it is.
    let library: ProductLibrary

    init(_ context: CUDAContext) {
        self.context = context
        device = .make(.cuda, index: context.index)
        library = ProductLibrary(context.driver.findProducts)
    }

    // MARK: Helpers of the primitives

    /// The address of a tensor's first element, after a look at where it lies.
    func address(_ x: RawTensor, _ operation: StaticString) -> UInt64 {
        if x.storage.device != device {
            fail("\(operation)", "operands on \(x.storage.device) and \(device); move one with to(device:)")
        }
        if context.tracksUse { context.use(UInt64(UInt(bitPattern: x.storage.base))) }
        return UInt64(UInt(bitPattern: x.pointer))
    }
    func address(_ x: RawTensor?, _ operation: StaticString) -> UInt64 { x.map { address($0, operation) } ?? 0 }

    func missing(_ operation: String, _ dtype: DType? = nil) -> Never {
        let type = dtype.map { " of \($0)" } ?? ""
        fail(operation, "there is no CUDA kernel for \(operation)\(type) yet; move the tensors to the CPU with to(device: .cpu)")
    }

    /// Blocks of 256 threads for so many pieces of work: each thread takes several when the device is full.
    func blocks(_ pieces: Int) -> (Int, Int) { (min((pieces + 255) / 256, 32 * context.multiprocessors), 1) }

    /// A kernel over elements, 256 threads to a block.
    func run<each A: BitwiseCopyable>(_ kernel: KernelName, pieces: Int, _ arguments: repeat each A) {
        context.launch(kernel, grid: blocks(pieces), block: (256, 1), repeat each arguments)
    }

    /// Room for intermediate results, given back when the work that uses it has been ordered.
    func scratch(_ shape: Shape, _ dtype: DType) -> RawTensor { RawTensor(Layout(shape: shape), dtype, device) }

    /// Calls `body` with 16-bit floats as float32, into a result that is rounded afterwards.
    func throughFloat32(_ inputs: [RawTensor], _ out: RawTensor, _ body: ([RawTensor], RawTensor) -> Void) {
        let wide = inputs.map { x -> RawTensor in
            let copy = scratch(x.shape, .float32), dense = x.isContiguous ? x : scratch(x.shape, x.dtype)
            if !x.isContiguous { self.copy(x, to: dense) }
            cast(dense, to: copy)
            return copy
        }
        let result = scratch(out.shape, .float32)
        body(wide, result)
        cast(result, to: out)
    }

    // MARK: Memory

    /// From the device's caching allocator.
    public func allocate(byteCount: Int) -> Storage {
        Storage(base: context.allocate(byteCount), byteCount: byteCount, device: device)
    }

    /// Back to the device's caching allocator.
    public func deallocate(_ base: UnsafeMutableRawPointer, byteCount: Int) {
        if base != CUDAAllocator.nowhere { context.allocator.deallocate(UInt64(UInt(bitPattern: base))) }
    }

    /// Between the host and the device (both dense), or on the device with any strides.
    public func copy(_ source: RawTensor, to destination: RawTensor) {
        let bytes = source.count * source.dtype.byteCount
        if source.device != destination.device && !(source.isContiguous && destination.isContiguous) {
            fail("copy", "from \(source.device) to \(destination.device) into a part of a tensor; move it with to(device:) first")
        }
        if source.device.kind == .cpu {
            context.copyToDevice(address(destination, "copy"), UnsafeRawPointer(source.pointer), bytes)
            (source.storage.owner as? PinnedMemory.Block)?.isUsed(by: context)
            return
        }
        if destination.device.kind == .cpu { return context.copyToHost(destination.pointer, address(source, "copy"), bytes) }
        if source.device != destination.device {
            fail("copy", "from \(source.device) to \(destination.device): move tensors between GPUs by way of the CPU")
        }
        let from = address(source, "copy"), to = address(destination, "copy")
        if source.isContiguous && destination.isContiguous { return context.copyOnDevice(to, from, bytes) }
        let walk = makeWalk("copy", source.shape, [source.layout.strides, destination.layout.strides])
        if let tiles = transposition(walk, source.dtype), destination.isContiguous {
            context.launch(
                KernelName("tk_transpose", source.dtype.sizeSuffix), grid: (min(tiles.count, 1 << 20), 1), block: (32, 8), from,
                to, tiles.rows,
                tiles.columns, tiles.batch, tiles.rowStep, tiles.batchStep)
        } else {
            run(KernelName("tk_copy", source.dtype.sizeSuffix), pieces: source.count, from, to, walk)
        }
    }

    /// The source's matrices whose last two axes are exchanged, if that is what a copy does.
    private func transposition(
        _ walk: tk_cuda_walk, _ dtype: DType
    ) -> (count: Int, rows: Int, columns: Int, batch: Int, rowStep: Int, batchStep: Int)? {
        let d = walk.dims, s = walk.strides.0
        let (batch, columns, rows, batchStep, first, second): (Int64, Int64, Int64, Int64, Int64, Int64)
        switch walk.rank {
        case 2: (batch, columns, rows, batchStep, first, second) = (1, d.0, d.1, 0, s.0, s.1)
        case 3: (batch, columns, rows, batchStep, first, second) = (d.0, d.1, d.2, s.0, s.1, s.2)
        default: return nil
        }
        if first != 1 || second < columns || columns < 8 || rows < 8 { return nil }
        let tiles = (rows + 31) / 32 * ((columns + 31) / 32) * batch
        return (Int(tiles), Int(rows), Int(columns), Int(batch), Int(second), Int(batchStep))
    }

    /// By a kernel for each type that is read.
    public func cast(_ x: RawTensor, to out: RawTensor) {
        if x.dtype == out.dtype { return copy(x, to: out) }
        run(
            KernelName("tk_cast", x.dtype == .bool ? "u8" : x.dtype.suffix), pieces: x.count, address(x, "cast"),
            address(out, "cast"),
            x.count, Int(out.dtype.rawValue))
    }

    /// In pieces of 16 bytes where they fit.
    public func fill(_ out: RawTensor, _ value: UnsafeRawPointer) {
        let size = out.dtype.byteCount
        var pattern = (UInt64(0), UInt64(0))
        withUnsafeMutableBytes(of: &pattern) { to in
            for place in stride(from: 0, to: 16, by: size) { (to.baseAddress! + place).copyMemory(from: value, byteCount: size) }
        }
        let to = address(out, "fill")
        // The element itself lies at the start of the pattern.
        if size == 16 {
            run(KernelName("tk_fill", "16"), pieces: out.count, to, out.count, Pair(pattern), Pair(pattern))
        } else {
            run(
                KernelName("tk_fill", out.dtype.sizeSuffix), pieces: max(1, out.count * size / 16), to, out.count, pattern.0,
                Pair(pattern))
        }
    }

    /// In double, or in 64 bits for integers.
    public func arange(_ out: RawTensor, start: Double, step: Double) {
        run(KernelName("tk_arange"), pieces: out.count, address(out, "arange"), out.count, start, step, Int(out.dtype.rawValue))
    }
}

/// 16 bytes, as a kernel takes them.
struct Pair: BitwiseCopyable {
    let low, high: UInt64
    init(_ words: (UInt64, UInt64)) { (low, high) = words }
}

extension DType {
    /// The end of the names of a type's kernels.
    var suffix: StaticString {
        switch self {
        case .float32: "f32"
        case .float64: "f64"
        case .float16: "f16"
        case .bfloat16: "bf16"
        case .int8: "i8"
        case .uint8: "u8"
        case .int32: "i32"
        case .int64: "i64"
        case .bool: "bool"
        case .complex64: "c64"
        case .complex128: "c128"
        case .float8E4M3: "e4m3"
        case .float8E5M2: "e5m2"
        }
    }

    /// The end of the names of kernels that move elements of this size.
    var sizeSuffix: StaticString {
        switch byteCount {
        case 1: "1"
        case 2: "2"
        case 4: "4"
        case 8: "8"
        default: "16"
        }
    }

    /// The type that rows, statistics and sums of this one are kept in.
    var statistics: DType { self == .float64 ? .float64 : .float32 }
    var isHalf: Bool { self == .float16 || self == .bfloat16 }
}
