import CCUDA
import CoreTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// One device: its context, its streams, its memory and the kernels loaded into it.
final class CUDAContext: @unchecked Sendable {
    let driver: CUDADriver
    let index: Int
    let name: String
    /// Ten times the major number and the minor.
    let capability: Int
    let multiprocessors: Int
    let clockKilohertz: Int
    let totalMemory: Int
    let allocator: CUDAAllocator
    let pinned: PinnedMemory
    let defaultStream: tk_cu_stream
    let lock = Lock()
    /// The streams beside the default one.
    var streams: Set<tk_cu_stream> = []
    /// Whether it has to be noted which stream uses what memory: only where there are several.
    nonisolated(unsafe) var tracksUse = false
    /// Whether fresh memory is filled with NaNs, so that what a kernel leaves out is seen.
    nonisolated(unsafe) var poisonsMemory = false
    /// Whether every launch is waited for, so that an error names its kernel.
    nonisolated(unsafe) var waitsForLaunches = CUDAContext.isSet("TAPESTRY_CUDA_LAUNCH_BLOCKING")
    private let handle: tk_cu_context
    private var functions: [KernelName: Function] = [:]
    /// The texts that the driver has translated, by their place among all, and the most specific text of each kernel.
    private var modules: [Int: tk_cu_module] = [:]
    private lazy var places: [Substring: Int] = {
        var places: [Substring: Int] = [:]
        for place in imagePlaces.reversed() {
            for name in String(cString: tk_cuda_image_at(Int32(place)).kernels).split(separator: " ") { places[name] = place }
        }
        return places
    }()

    init(_ driver: CUDADriver, index: Int) throws(CUDAError) {
        func check(_ result: tk_cu_result, _ call: String) throws(CUDAError) {
            if result != Int32(TK_CU_SUCCESS) { throw .driverFailed("\(call) fails: \(driver.describe(result))") }
        }
        let functions = driver.functions
        var device: tk_cu_device = 0
        try check(functions.device(&device, Int32(index)), "cuDeviceGet")
        func attribute(_ which: Int) -> Int {
            var value: Int32 = 0
            _ = functions.device_attribute(&value, Int32(which), device)
            return Int(value)
        }
        var title = [CChar](repeating: 0, count: 256)
        _ = functions.device_name(&title, 256, device)
        name = String(decoding: title.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        capability = 10 * attribute(TK_CU_CAPABILITY_MAJOR) + attribute(TK_CU_CAPABILITY_MINOR)
        if capability < 75 { throw .noDevice("cuda:\(index) (\(name)) is sm_\(capability); sm_75 is needed") }
        multiprocessors = max(1, attribute(TK_CU_MULTIPROCESSORS))
        clockKilohertz = attribute(TK_CU_CLOCK_KILOHERTZ)
        var bytes = 0
        _ = functions.device_memory(&bytes, device)
        totalMemory = bytes
        var context: tk_cu_context?
        try check(functions.retain_context(&context, device), "cuDevicePrimaryCtxRetain")
        try check(functions.set_context(context), "cuCtxSetCurrent")
        var stream: tk_cu_stream?
        try check(functions.create_stream(&stream, UInt32(TK_CU_STREAM_NON_BLOCKING)), "cuStreamCreate")
        guard let context, let stream else { throw .driverFailed("the driver gave no context") }
        handle = context
        if index >= TK_CUDA_MAX_DEVICES { throw .driverFailed("cuda:\(index): at most \(TK_CUDA_MAX_DEVICES) devices are used") }
        defaultStream = stream
        self.driver = driver
        self.index = index
        allocator = CUDAAllocator(driver, context, device: index, total: bytes, stream: stream)
        pinned = PinnedMemory(driver, context)
    }

    private static func isSet(_ variable: String) -> Bool {
        getenv(variable).map { $0.pointee != 0 && $0.pointee != 48 } ?? false
    }

    var summary: String { "\(name), sm_\(capability), \(multiprocessors) multiprocessors, \(totalMemory / 1_048_576) MB" }

    /// Makes the context this thread's: tasks change threads.
    func enter() { _ = driver.functions.set_context(handle) }

    /// Ends the operation that met an error: by the scope around it, or with the program.
    func report(_ error: CUDAError, _ operation: String) {
        if !ErrorScope.keep(error) { fail(operation, "\(error)") }
    }

    func check(_ result: tk_cu_result, _ call: String) {
        if result == Int32(TK_CU_SUCCESS) { return }
        // A kernel that fails while it runs is noticed by whatever comes next.
        let isKernels = result == Int32(TK_CU_LAUNCH_FAILED) || result == Int32(TK_CU_ILLEGAL_ADDRESS)
        let mend =
            isKernels && !waitsForLaunches ? "; the environment variable TAPESTRY_CUDA_LAUNCH_BLOCKING=1 names the kernel" : ""
        report(.driverFailed("\(call) fails: \(driver.describe(result))\(mend)"), "cuda")
    }

    // MARK: Copies

    /// From ordinary memory: it may be changed when the call returns. From pinned memory: not before the stream has come so far.
    func copyToDevice(_ to: UInt64, _ from: UnsafeRawPointer, _ bytes: Int) {
        if bytes == 0 || ErrorScope.hasFailed || refusesInCapture("data is copied from the CPU to the device") { return }
        enter()
        check(driver.functions.copy_to_device(to, from, bytes, stream), "copying \(bytes) bytes to the device")
    }

    /// Returns when the bytes are there.
    func copyToHost(_ to: UnsafeMutableRawPointer, _ from: UInt64, _ bytes: Int) {
        if bytes == 0 { return }
        if !ErrorScope.hasFailed && !refusesInCapture("a tensor's elements are read on the CPU") {
            let stream = stream
            enter()
            check(driver.functions.copy_to_host(to, from, bytes, stream), "copying \(bytes) bytes to the host")
            synchronize(stream)
        }
        if ErrorScope.hasFailed { to.initializeMemory(as: UInt8.self, repeating: 0, count: bytes) }
    }

    /// To pinned memory: the bytes are there when the stream has come so far.
    func copyToPinned(_ to: UnsafeMutableRawPointer, _ from: UInt64, _ bytes: Int) {
        if bytes == 0 || ErrorScope.hasFailed { return }
        enter()
        check(driver.functions.copy_to_host(to, from, bytes, stream), "copying \(bytes) bytes to the host")
    }

    func copyOnDevice(_ to: UInt64, _ from: UInt64, _ bytes: Int) {
        if bytes == 0 || ErrorScope.hasFailed { return }
        enter()
        if let recorder, !recorder.records(.copy(to: to, from: from, bytes: bytes)) { return }
        check(driver.functions.copy_on_device(to, from, bytes, stream), "copying \(bytes) bytes on the device")
    }

    func setBytes(_ to: UInt64, _ value: UInt8, _ bytes: Int) {
        if bytes == 0 || ErrorScope.hasFailed { return }
        enter()
        if let recorder, !recorder.records(.fill(to: to, value: value, bytes: bytes)) { return }
        check(driver.functions.set_bytes(to, value, bytes, stream), "setting \(bytes) bytes")
    }

    /// What records this thread's work on this device.
    var recorder: Recorder? {
        guard let recorder = Recorder.current, recorder.context === self else { return nil }
        return recorder
    }

    // MARK: Memory

    /// Memory, or, in a scope that collects errors, an address that nothing uses.
    func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
        if !ErrorScope.hasFailed {
            recorder?.allocates(bytes)
            do throws(CUDAError) {
                let address = try allocator.allocate(bytes, for: stream, in: recorder?.poolInForce)
                if poisonsMemory { setBytes(address, 0xff, bytes) }
                return UnsafeMutableRawPointer(bitPattern: UInt(address))!
            } catch { report(error, "allocate") }
        }
        return CUDAAllocator.nowhere
    }

    /// Notes who uses a block.
    func use(_ base: UInt64) {
        if let recorder { recorder.uses(base) } else { allocator.use(base, by: stream) }
    }

    // MARK: Kernels

    /// A kernel that the driver has loaded.
    private final class Function {
        let handle: tk_cu_function
        /// Shared memory that blocks may ask for.
        var sharedBytes = 48 << 10
        init(_ handle: tk_cu_function) { self.handle = handle }
    }

    /// The most specific kernel of a name for this device. Its text is translated when the first of its kernels is used.
    private func function(_ kernel: KernelName, shared: Int) throws(CUDAError) -> tk_cu_function {
        try lock.withLock { () throws(CUDAError) -> tk_cu_function in
            let function: Function
            if let known = functions[kernel] {
                function = known
            } else {
                let name = kernel.description
                guard let place = places[Substring(name)] else { throw .driverFailed("no kernel \(name) for sm_\(capability)") }
                var found: tk_cu_function?
                let result = driver.functions.function(&found, try module(place), name)
                guard result == Int32(TK_CU_SUCCESS), let found else {
                    throw .driverFailed("finding the kernel \(name) fails: \(driver.describe(result))")
                }
                function = Function(found)
                functions[kernel] = function
            }
            if shared > function.sharedBytes {  // has to be asked for, once
                let result = driver.functions.set_function_attribute(
                    function.handle, Int32(TK_CU_FUNCTION_SHARED_BYTES), Int32(shared))
                if result != Int32(TK_CU_SUCCESS) {
                    throw .driverFailed("\(kernel) is refused \(shared) bytes of shared memory: \(driver.describe(result))")
                }
                function.sharedBytes = shared
            }
            return function.handle
        }
    }

    /// The texts that the device can run, the most specific first.
    private var imagePlaces: [Int] {
        (0..<Int(tk_cuda_image_count())).reversed().filter {
            let image = tk_cuda_image_at(Int32($0))
            return capability >= image.minimum && (image.exact == 0 || capability == image.exact)
        }
    }

    /// The kinds of texts that the device runs, the most specific first: "tensor_sm80".
    var imageNames: [String] {
        imagePlaces.map { String(cString: tk_cuda_image_at(Int32($0)).name) }
            .reduce(into: []) { if $0.last != $1 { $0.append($1) } }
    }

    /// A text, translated by the driver.
    private func module(_ place: Int) throws(CUDAError) -> tk_cu_module {
        if let known = modules[place] { return known }
        let image = tk_cuda_image_at(Int32(place))
        var module: tk_cu_module?
        var log = [CChar](repeating: 0, count: 8192)
        let result = log.withUnsafeMutableBufferPointer { log in
            var options: [Int32] = [Int32(TK_CU_JIT_ERROR_LOG), Int32(TK_CU_JIT_ERROR_LOG_BYTES)]
            var values: [UnsafeMutableRawPointer?] = [
                UnsafeMutableRawPointer(log.baseAddress), UnsafeMutableRawPointer(bitPattern: log.count),
            ]
            return driver.functions.load_module(&module, image.text, 2, &options, &values)
        }
        guard result == Int32(TK_CU_SUCCESS), let module else {
            let text = String(decoding: log.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw .kernelsRefused(
                "the driver (CUDA \(driver.cudaVersion / 1000).\(driver.cudaVersion % 1000 / 10)) does not take the kernels "
                    + "\(String(cString: image.name)): \(driver.describe(result)) \(text)"
                    + (result == Int32(TK_CU_UNSUPPORTED_PTX) ? "; install a newer driver, 525 at least" : ""))
        }
        modules[place] = module
        return module
    }

    /// Starts a kernel. Arguments lie in memory as the kernel declares them: addresses as `UInt64`, numbers as `Int`, `UInt64` or `Double`,
    /// structures of `kernel_arguments.h`. `shared` bytes of memory go to each block, beside what the kernel declares.
    func launch<each A: BitwiseCopyable>(
        _ kernel: KernelName, grid: (Int, Int), block: (Int, Int), shared: Int = 0, _ arguments: repeat each A
    ) {
        if grid.0 == 0 || grid.1 == 0 || ErrorScope.hasFailed { return }
        let function: tk_cu_function
        do throws(CUDAError) {
            enter()
            function = try self.function(kernel, shared: shared)
        } catch { return report(error, "cuda") }
        let recorder = recorder, stream = stream
        // Arguments side by side on the stack, and where each is.
        var result = withUnsafeTemporaryAllocation(byteCount: 4096 + 16 * 24, alignment: 16) { bytes in
            withUnsafeTemporaryAllocation(of: UnsafeMutableRawPointer?.self, capacity: 24) { places in
                var count = 0, offset = 0
                for argument in repeat each arguments {
                    let size = MemoryLayout.size(ofValue: argument)
                    precondition(count < 24 && offset + size <= bytes.count, "too many arguments of a kernel")
                    withUnsafeBytes(of: argument) {
                        (bytes.baseAddress! + offset).copyMemory(from: $0.baseAddress!, byteCount: size)
                    }
                    places[count] = bytes.baseAddress! + offset
                    count += 1
                    offset = (offset + size + 15) & ~15
                }
                if let recorder {
                    var launch = Recorder.Launch(kernel, function, grid: grid, block: block, shared: shared)
                    for argument in repeat each arguments { launch.add(argument) }
                    if !recorder.records(launch) { return tk_cu_result(TK_CU_SUCCESS) }
                }
                return driver.functions.launch(
                    function, UInt32(grid.0), UInt32(grid.1), 1, UInt32(block.0), UInt32(block.1), 1, UInt32(shared), stream,
                    places.baseAddress, nil)
            }
        }
        if let recorder {
            recorder.findNode()
        } else if waitsForLaunches && result == Int32(TK_CU_SUCCESS) {
            result = driver.functions.synchronize_stream(stream)
        }
        if result != Int32(TK_CU_SUCCESS) {
            report(
                .launchFailed(
                    kernel: kernel.description, grid: "\(grid.0) × \(grid.1) blocks of \(block.0) × \(block.1) threads",
                    reason: driver.describe(result)), "cuda")
        }
    }
}

/// A kernel by what it does and the type it does it with.
struct KernelName: Hashable, CustomStringConvertible {
    let base: StaticString
    let suffix: StaticString

    init(_ base: StaticString, _ suffix: StaticString = "") {
        self.base = base
        self.suffix = suffix
    }

    // Literals: their addresses are as good as their letters.
    static func == (a: KernelName, b: KernelName) -> Bool {
        a.base.utf8Start == b.base.utf8Start && a.suffix.utf8Start == b.suffix.utf8Start
    }
    func hash(into hasher: inout Hasher) {
        hasher.combine(base.utf8Start)
        hasher.combine(suffix.utf8Start)
    }

    var description: String { suffix.utf8CodeUnitCount == 0 ? "\(base)" : "\(base)_\(suffix)" }
}
