import CCUDA
import CoreTensor

/// Which of the two computes a product, found out at its first use.
public struct ProductChoice: Sendable, CustomStringConvertible {
    /// "bfloat16 [4096, 1024] · [1024, 4096]", with ᵀ after what lies transposed in memory and the number of products before.
    public let product: String
    /// Seconds of the library's own kernels and of cuBLASLt, which may have none for a product.
    public let own: Double, cuBLASLt: Double?
    /// Whether cuBLASLt was the faster one.
    public var usesCUBLASLt: Bool { cuBLASLt.map { $0 < own } ?? false }

    /// "… : 81.2 µs own, 78.0 µs cuBLASLt".
    public var description: String {
        func microseconds(_ seconds: Double) -> String { "\((seconds * 1e7).rounded() / 10) µs" }
        return "\(product): \(microseconds(own)) own, \(cuBLASLt.map { "\(microseconds($0)) cuBLASLt" } ?? "no cuBLASLt")"
    }
}

/// What a decision depends on.
struct ProductKey: Hashable {
    let m, n, k, lda, ldb, strideA, strideB, batch: Int64
    let type, out, bias: DType
    let transposesA, transposesB, accumulates, hasBias, allowsTF32: Bool

    init(_ p: tk_cuda_gemm, _ type: DType, _ out: DType, _ bias: DType?) {
        (m, n, k, lda, ldb, strideA, strideB, batch) = (p.m, p.n, p.k, p.lda, p.ldb, p.stride_a, p.stride_b, p.batch)
        (self.type, self.out, self.bias, hasBias) = (type, out, bias ?? out, bias != nil)
        (transposesA, transposesB, accumulates) = (p.transpose_a != 0, p.transpose_b != 0, p.accumulate != 0)
        allowsTF32 = type == .float32 && Configuration.allowsTF32
    }

    var description: String {
        func matrix(_ rows: Int64, _ columns: Int64, _ isTurned: Bool) -> String {
            isTurned ? "[\(columns), \(rows)]ᵀ" : "[\(rows), \(columns)]"
        }
        let count = batch == 1 ? "" : "\(batch) × ", kind = allowsTF32 ? "float32 as TF32" : "\(type)"
        return "\(count)\(kind) \(matrix(m, k, transposesA)) · \(matrix(k, n, transposesB))\(accumulates ? ", added" : "")"
    }
}

/// cuBLASLt, opened at the first product, and the products that it is faster at.
final class ProductLibrary: @unchecked Sendable {
    /// The library at work, with its handle.
    struct Opened {
        var blas: tk_cublaslt
        let handle: tk_blas_handle
    }
    private let lock = Lock()
    private let find: () -> tk_cublaslt?
    private var isOpen = false
    private var opened: Opened?
    private var decisions: [ProductKey: (choice: ProductChoice, plan: tk_blas_plan?)] = [:]

    init(_ find: @escaping () -> tk_cublaslt?) { self.find = find }

    deinit {
        guard var opened else { return }
        for (_, decision) in decisions { if var plan = decision.plan { tk_blas_dispose(&opened.blas, &plan) } }
        _ = opened.blas.destroy(opened.handle)
    }

    /// The library, if there is one. The context has to be this thread's.
    func open() -> Opened? {
        lock.withLock {
            if isOpen { return opened }
            isOpen = true
            var handle: tk_blas_handle?
            if let blas = find(), blas.create(&handle) == 0, let handle { opened = Opened(blas: blas, handle: handle) }
            return opened
        }
    }

    /// What was decided: a plan of the library, or nil for our own kernels; nothing if this product is new.
    func decision(_ key: ProductKey) -> tk_blas_plan?? { lock.withLock { decisions[key].map(\.plan) } }

    /// Keeps a decision; the plan is disposed of if it is not the faster one.
    func decide(_ key: ProductKey, own: Double, library: (seconds: Double, plan: tk_blas_plan)?) {
        let choice = ProductChoice(product: key.description, own: own, cuBLASLt: library?.seconds)
        lock.withLock {
            let isNew = decisions[key] == nil
            if isNew { decisions[key] = (choice, choice.usesCUBLASLt ? library?.plan : nil) }
            if !isNew || !choice.usesCUBLASLt, var plan = library?.plan, var blas = opened?.blas { tk_blas_dispose(&blas, &plan) }
        }
    }

    func exclusively<R>(_ body: () -> R) -> R { lock.withLock(body) }

    var choices: [ProductChoice] { lock.withLock { decisions.values.map(\.choice).sorted { $0.product < $1.product } } }
}

extension CUDA {
    /// Whether products may run by cuBLASLt, where the machine has it: each shape is timed with it and with our own kernels at its first use (but
    /// not within a graph), and the faster one stays. At start it is so. Products with an activation are our own kernels'.
    public static var usesCUBLASLt: Bool {
        get { tk_cuda_allows_cublaslt() }
        set { tk_cuda_set_cublaslt(newValue) }
    }

    /// What was found out about the products so far; empty without cuBLASLt.
    public static func productReport(_ device: Device = .cuda(0)) -> [ProductChoice] {
        guard let backend = Backends.backend(for: device) as? CUDABackend else {
            fail("productReport", "\(device) is no CUDA device")
        }
        return backend.library.choices
    }
}

extension CUDABackend {
    /// Computes a product by cuBLASLt if that is there, allowed and faster, which `own` (the same product by our kernels into another result) is
    /// there to compare; false if our kernels are to do it.
    func libraryProduct(
        _ a: UInt64, _ b: UInt64, _ out: RawTensor, _ bias: RawTensor?, _ type: DType, _ p: tk_cuda_gemm, own: (RawTensor) -> Void
    ) -> Bool {
        if !CUDA.usesCUBLASLt || ErrorScope.hasFailed || type == .int64 || p.k == 0 { return false }
        context.enter()
        guard let opened = library.open() else { return false }
        let to = address(out, "matmul"), added = address(bias, "matmul")
        // What the library's algorithms expect.
        if a % 256 != 0 || b % 256 != 0 || to % 256 != 0 || added % 256 != 0 { return false }
        let key = ProductKey(p, type, out.dtype, bias?.dtype)
        if let recorder = context.recorder {
            // Nothing can be timed in a capture, and what a host step does is compared by its kernels.
            if library.decision(key) == nil || !recorder.allowsLibraries { return false }
        } else if library.decision(key) == nil {
            measure(key, opened, a, b, out, added, type, p, own)
        }
        guard let plan = library.decision(key) ?? nil else { return false }
        return run(plan, opened, a, b, to, added) == 0
    }

    private func run(
        _ plan: tk_blas_plan, _ opened: ProductLibrary.Opened, _ a: UInt64, _ b: UInt64, _ out: UInt64, _ bias: UInt64
    ) -> Int32 {
        let workspace = scratch([max(1, Int(plan.workspace))], .uint8), room = address(workspace, "matmul")
        let stream = context.stream
        // The bias is part of the plan, which other threads use too.
        return library.exclusively {
            withUnsafePointer(to: opened.blas) { blas in
                withUnsafePointer(to: plan) { tk_blas_run(blas, opened.handle, $0, a, b, out, bias, room, stream) }
            }
        }
    }

    /// Times both into a result that nobody reads.
    private func measure(
        _ key: ProductKey, _ opened: ProductLibrary.Opened, _ a: UInt64, _ b: UInt64, _ out: RawTensor, _ bias: UInt64,
        _ type: DType,
        _ p: tk_cuda_gemm, _ own: (RawTensor) -> Void
    ) {
        let result = scratch([out.count], out.dtype), to = address(result, "matmul")
        context.setBytes(to, 0, out.count * out.dtype.byteCount)
        var plan = tk_blas_plan()
        let hasPlan = withUnsafePointer(to: opened.blas) { blas in
            withUnsafePointer(to: p) {
                tk_blas_prepare(blas, opened.handle, $0, Int32(type.rawValue), key.allowsTF32, key.hasBias, &plan)
            }
        }
        let ours = context.seconds { own(result) }
        var library: (Double, tk_blas_plan)?
        if hasPlan {
            var works = true
            let theirs = context.seconds { works = works && run(plan, opened, a, b, to, bias) == 0 }
            library = (works ? theirs : .infinity, plan)
        }
        self.library.decide(key, own: ours, library: library)
    }
}

extension CUDAContext {
    /// The time of some work on the device: once to warm up, then the least of three.
    fileprivate func seconds(_ work: () -> Void) -> Double {
        var first: tk_cu_event?
        var last: tk_cu_event?
        let functions = driver.functions
        guard functions.create_event(&first, 0) == 0, functions.create_event(&last, 0) == 0 else { return .infinity }
        defer {
            _ = functions.destroy_event(first)
            _ = functions.destroy_event(last)
        }
        work()
        var least = Float.infinity
        for _ in 0..<3 {
            _ = functions.record_event(first, stream)
            work()
            _ = functions.record_event(last, stream)
            _ = functions.synchronize_event(last)
            var milliseconds: Float = .infinity
            if functions.elapsed(&milliseconds, first, last) == 0 { least = min(least, milliseconds) }
        }
        return Double(least) / 1000
    }
}
