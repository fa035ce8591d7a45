import CCUDA
import CoreTensor

/// The table of the driver's functions, started; the machine's own, or one that a test puts in its place.
final class CUDADriver: @unchecked Sendable {
    let functions: tk_cuda_driver
    let cudaVersion: Int
    let deviceCount: Int

    /// Looks for cuBLASLt.
    let findProducts: () -> tk_cublaslt?
    private let communication: (() -> tk_nccl)?

    init(
        _ functions: tk_cuda_driver, products: @escaping () -> tk_cublaslt? = { nil }, communication: (() -> tk_nccl)? = nil
    ) throws(CUDAError) {
        var table = functions
        let status = tk_cuda_start(&table)
        if status.reason != TK_CUDA_READY { throw CUDAError(status) }
        self.functions = functions
        findProducts = products
        self.communication = communication
        cudaVersion = Int(status.cuda_version)
        deviceCount = Int(status.device_count)
    }

    /// The machine's driver.
    static func open(_ library: String? = nil) throws(CUDAError) -> CUDADriver {
        var table = tk_cuda_driver()
        let status = tk_cuda_load(&table, library)
        if status.reason != TK_CUDA_READY { throw CUDAError(status) }
        return try CUDADriver(
            table,
            products: {
                let found = tk_cuda_find_library(TK_CUDA_CUBLASLT)
                var blas = tk_cublaslt()
                return found.handle != nil && tk_blas_load(&blas, found.handle) ? blas : nil
            })
    }

    /// NCCL: what a test puts in its place, or the machine's. Throws why there is none.
    func findCommunication() throws(CUDAError) -> tk_nccl {
        if let communication { return communication() }
        let found = tk_cuda_find_library(TK_CUDA_NCCL)
        func text<T>(_ value: T) -> String {
            withUnsafeBytes(of: value) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        }
        if found.handle == nil { throw .noCommunication(text(found.message)) }
        var nccl = tk_nccl()
        if !tk_nccl_load(&nccl, found.handle) {
            throw .noCommunication("NCCL at \(text(found.path)) is older than 2.10: it lacks a function")
        }
        return nccl
    }

    /// The driver's name and description of a result.
    func describe(_ result: tk_cu_result) -> String {
        var name: UnsafePointer<CChar>?
        var text: UnsafePointer<CChar>?
        _ = functions.error_name(result, &name)
        _ = functions.error_string(result, &text)
        let title = name.map { String(cString: $0) } ?? "error \(result)"
        return text.map { "\(title) (\(String(cString: $0)))" } ?? title
    }
}
