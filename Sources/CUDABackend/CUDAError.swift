import CCUDA

/// Why CUDA, or one of its devices, cannot be used, or what went wrong on it.
public enum CUDAError: Error, Sendable, CustomStringConvertible {
    /// No `libcuda.so.1` on this machine.
    case noDriver(String)
    /// The driver is older than 525 (CUDA 12.0), whose kernels the library has, or lacks a function.
    case driverTooOld(String)
    /// The driver finds no GPU, or none from compute capability 7.5 on.
    case noDevice(String)
    /// There is no device of this index, of so many.
    case noSuchDevice(index: Int, count: Int)
    /// A name that is none of a device.
    case unknownDevice(String)
    /// The device's memory does not hold what was asked for, even after the cache was emptied.
    case outOfMemory(requested: Int, inUse: Int, cached: Int, total: Int, device: Int)
    /// A kernel could not be launched or failed: its name, its grid, and what the driver says.
    case launchFailed(kernel: String, grid: String, reason: String)
    /// The driver does not take the library's kernels, being older than their PTX.
    case kernelsRefused(String)
    /// Work that cannot be captured in a graph, or a graph that cannot be replayed any more.
    case notCapturable(String)
    /// NCCL, by which several devices exchange tensors, is not there: where it was looked for.
    case noCommunication(String)
    /// A call of NCCL failed.
    case communicationFailed(String)
    /// Another call of the driver failed.
    case driverFailed(String)

    init(_ status: tk_cuda_status) {
        let message = withUnsafeBytes(of: status.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        switch status.reason {
        case TK_CUDA_NO_DRIVER: self = .noDriver(message)
        case TK_CUDA_DRIVER_TOO_OLD, TK_CUDA_DRIVER_INCOMPLETE: self = .driverTooOld(message)
        case TK_CUDA_NO_DEVICE: self = .noDevice(message)
        default: self = .driverFailed(message)
        }
    }

    /// One sentence: what is wrong and, where there is one, the mend.
    public var description: String {
        switch self {
        case .noDriver(let text), .driverTooOld(let text), .noDevice(let text), .kernelsRefused(let text),
            .notCapturable(let text), .noCommunication(let text), .communicationFailed(let text), .driverFailed(let text):
            return text
        case .noSuchDevice(let index, let count):
            return "no device \(index): the machine has \(count), numbered from 0"
        case .unknownDevice(let name):
            return "no device is called \(name); names are cpu, cuda, cuda:0, cuda:1 …"
        case .outOfMemory(let requested, let inUse, let cached, let total, let device):
            func megabytes(_ bytes: Int) -> String { "\((bytes + 524_288) / 1_048_576) MB" }
            return
                "cuda:\(device) is out of memory: \(requested) bytes asked for; of \(megabytes(total)), \(megabytes(inUse)) are in use by "
                + "tensors and \(megabytes(cached)) are cached; use smaller batches, or CUDA.emptyCache()"
        case .launchFailed(let kernel, let grid, let reason):
            return "kernel \(kernel) on a grid of \(grid) failed: \(reason)"
        }
    }
}
