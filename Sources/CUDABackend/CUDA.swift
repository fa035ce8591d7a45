import CCUDA
import CoreTensor

/// NVIDIA GPUs, through the driver alone: a program finds at run time whether it can use one.
///
/// ```swift
/// let device = CUDA.isAvailable ? Device.cuda(0) : .cpu
/// let x = Tensor([1, 2, 3], device: device)
/// ```
public enum CUDA {
    private static let lock = Lock()
    nonisolated(unsafe) private static var started: Result<CUDADriver, CUDAError>?
    nonisolated(unsafe) private static var backends: [Int: CUDABackend] = [:]

    static func driver() throws(CUDAError) -> CUDADriver {
        let result = lock.withLock { () -> Result<CUDADriver, CUDAError> in
            if let started { return started }
            let result: Result<CUDADriver, CUDAError>
            do throws(CUDAError) { result = .success(try CUDADriver.open()) } catch { result = .failure(error) }
            started = result
            return result
        }
        return try result.get()
    }

    /// Puts another driver in place of the machine's, for tests; nil looks for the machine's again. Tensors of the driver before must
    /// be gone.
    static func replaceDriver(_ result: Result<CUDADriver, CUDAError>?) {
        lock.withLock {
            started = result
            backends = [:]
        }
    }

    /// Why CUDA is off; nil if it is on.
    public static var unavailableReason: CUDAError? {
        do throws(CUDAError) {
            _ = try driver()
            return nil
        } catch { return error }
    }

    /// Whether the machine has a driver that is new enough, and a GPU.
    public static var isAvailable: Bool { unavailableReason == nil }

    /// The number of GPUs; 0 where CUDA is off.
    public static var deviceCount: Int { (try? driver().deviceCount) ?? 0 }

    /// The GPU of an index, made ready at the first call. Throws why there is none.
    public static func device(_ index: Int = 0) throws(CUDAError) -> Device { try backend(index).device }

    /// The device that a user names: `cpu`, `cuda` or `cuda:1`. Throws why there is none.
    public static func device(named name: String) throws(CUDAError) -> Device {
        if name == "cpu" { return .cpu }
        if name == "cuda" { return try device(0) }
        guard name.hasPrefix("cuda:"), let index = Int(name.dropFirst(5)) else { throw .unknownDevice(name) }
        return try device(index)
    }

    static func backend(_ index: Int) throws(CUDAError) -> CUDABackend {
        let driver = try driver()
        if index < 0 || index >= driver.deviceCount { throw .noSuchDevice(index: index, count: driver.deviceCount) }
        if let known = lock.withLock({ backends[index] }) { return known }
        let fresh = CUDABackend(try CUDAContext(driver, index: index))
        return lock.withLock {
            if let known = backends[index] { return known }
            backends[index] = fresh
            Backends.register(fresh, for: fresh.device)
            return fresh
        }
    }

    static func backend(of device: Device, _ operation: String) -> CUDABackend {
        guard let backend = Backends.backend(for: device) as? CUDABackend else { fail(operation, "\(device) is no CUDA device") }
        return backend
    }

    /// Waits until the device has done all work given to it, in all streams.
    public static func synchronize(_ device: Device = .cuda(0)) { backend(of: device, "synchronize").context.synchronizeAll() }

    /// Fills fresh memory of the device with NaNs (bytes of 0xff) from now on, or no longer: for tests, as a kernel that leaves out an element
    /// is seen by it.
    public static func poisonMemory(_ poisons: Bool = true, _ device: Device = .cuda(0)) {
        backend(of: device, "poisonMemory").context.poisonsMemory = poisons
    }

    /// Waits for every kernel from now on, or no longer. A kernel that fails while it runs is otherwise noticed later, when somebody waits
    /// for the device, and the error cannot name it. The environment variable `TAPESTRY_CUDA_LAUNCH_BLOCKING` starts a program so.
    public static func waitForLaunches(_ waits: Bool = true, _ device: Device = .cuda(0)) {
        backend(of: device, "waitForLaunches").context.waitsForLaunches = waits
    }

    /// Gives memory that no tensor uses back to the driver.
    public static func emptyCache(_ device: Device = .cuda(0)) {
        backend(of: device, "emptyCache").context.allocator.emptyCache()
    }

    /// What the device's allocator holds and has done.
    public static func memoryStatistics(_ device: Device = .cuda(0)) -> CUDAMemoryStatistics {
        backend(of: device, "memoryStatistics").context.allocator.statistics
    }

    /// Starts the peak of the statistics anew.
    public static func resetPeakMemory(_ device: Device = .cuda(0)) {
        backend(of: device, "resetPeakMemory").context.allocator.resetPeak()
    }

    /// "NVIDIA H200, sm_90, 132 multiprocessors, 143771 MB", or what is known of the device.
    public static func describe(_ device: Device = .cuda(0)) -> String { backend(of: device, "describe").context.summary }

    /// Runs `body`, and throws the first error of a device that it meets on this thread; the operations after it do nothing, and what
    /// they return has no meaning. Without such a scope an error of the device stops the program.
    ///
    /// ```swift
    /// do { try CUDA.catchingErrors { step(batch) } } catch CUDAError.outOfMemory { step(half of the batch) }
    /// ```
    public static func catchingErrors<R>(_ body: () throws -> R) throws -> R {
        let depth = tk_cuda_get_scope_depth()
        tk_cuda_set_scope_depth(depth + 1)
        defer {
            tk_cuda_set_scope_depth(depth)
            if depth == 0 { tk_cuda_set_scope_failed(false) }
        }
        let result = try body()
        if tk_cuda_get_scope_failed(), let error = ErrorScope.take() { throw error }
        return result
    }
}

/// The first error of each thread that runs in a scope.
enum ErrorScope {
    private static let lock = Lock()
    nonisolated(unsafe) private static var errors: [UInt: CUDAError] = [:]

    /// Keeps an error for the scope of this thread; false if there is none.
    static func keep(_ error: CUDAError) -> Bool {
        if tk_cuda_get_scope_depth() == 0 { return false }
        if !tk_cuda_get_scope_failed() {
            lock.withLock { errors[threadNumber()] = error }
            tk_cuda_set_scope_failed(true)
        }
        return true
    }

    static func take() -> CUDAError? { lock.withLock { errors.removeValue(forKey: threadNumber()) } }

    /// Whether an operation has to be left out, as one before it failed.
    static var hasFailed: Bool { tk_cuda_get_scope_failed() }
}

extension Device {
    /// The GPU of an index. Stops, saying why, where there is none; ``CUDA/device(_:)`` throws instead.
    public static func cuda(_ index: Int = 0) -> Device {
        do throws(CUDAError) { return try CUDA.device(index) } catch { fail("cuda", "\(error)") }
    }
}
