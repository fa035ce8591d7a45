import CCUDA
import CoreTensor

/// Host memory that the device copies from and to by itself. Getting it from the driver is slow, so blocks are kept, in powers of two.
final class PinnedMemory: @unchecked Sendable {
    private let driver: CUDADriver
    private let handle: tk_cu_context
    private let lock = Lock()
    /// Blocks without a user by their size, each with the end of the copies that may still be on their way.
    private var free: [Int: [(address: UnsafeMutableRawPointer, copies: [CUDA.Event])]] = [:]

    init(_ driver: CUDADriver, _ context: tk_cu_context) {
        self.driver = driver
        handle = context
    }

    func allocate(_ bytes: Int) throws(CUDAError) -> Block {
        var size = 4096
        while size < bytes { size *= 2 }
        let cached = lock.withLock { () -> UnsafeMutableRawPointer? in
            guard let place = free[size]?.firstIndex(where: { $0.copies.allSatisfy(\.isDone) }) else { return nil }
            return free[size]!.remove(at: place).address
        }
        if let cached { return Block(self, cached, size) }
        _ = driver.functions.set_context(handle)
        var address: UnsafeMutableRawPointer?
        let result = driver.functions.allocate_host(&address, size, 0)
        guard result == Int32(TK_CU_SUCCESS), let address else {
            throw .driverFailed("pinning \(size) bytes of the host's memory fails: \(driver.describe(result))")
        }
        return Block(self, address, size)
    }

    /// A block while somebody uses it; it goes back by itself.
    final class Block: @unchecked Sendable {
        let address: UnsafeMutableRawPointer
        private let size: Int
        private let memory: PinnedMemory
        private let lock = Lock()
        private var copies: [CUDA.Event] = []

        init(_ memory: PinnedMemory, _ address: UnsafeMutableRawPointer, _ size: Int) {
            self.memory = memory
            self.address = address
            self.size = size
        }

        /// Notes that work given to the current stream copies from or to the block, and returns its end.
        @discardableResult
        func isUsed(by context: CUDAContext) -> CUDA.Event {
            let event = CUDA.Event(context, timing: false)
            event.record()
            lock.withLock {
                copies.removeAll(where: \.isDone)
                copies.append(event)
            }
            return event
        }

        deinit { memory.lock.withLock { memory.free[size, default: []].append((address, copies)) } }
    }
}

extension Tensor {
    /// A copy of a tensor of the CPU in pinned memory, from where ``to(device:)`` copies to `device` without holding up the host. Writing to it
    /// makes a copy in ordinary memory. Traps if the driver gives no memory.
    public func pinned(for device: Device = .cuda(0)) -> Tensor {
        let context = CUDA.backend(of: device, "pinned").context, source = detached().to(device: .cpu).contiguous().raw
        let bytes = source.count * source.dtype.byteCount, block: PinnedMemory.Block
        do throws(CUDAError) { block = try context.pinned.allocate(bytes) } catch { fail("pinned", "\(error)") }
        if bytes > 0 { block.address.copyMemory(from: source.pointer, byteCount: bytes) }
        return Tensor(
            raw: RawTensor(
                storage: Storage(readOnly: block.address, byteCount: bytes, owner: block), layout: source.layout, offset: 0,
                dtype: source.dtype))
    }

    /// Starts copying a tensor of a GPU to the CPU, behind the work that the current stream was given; the host does not wait.
    public func copyToHost() -> CUDA.HostCopy { CUDA.HostCopy(self) }
}

extension CUDA {
    /// A tensor on its way to the CPU: the loss of a step, say, looked at while the next step runs.
    public final class HostCopy: Sendable {
        private let result: Tensor
        private let arrival: Event

        init(_ tensor: Tensor) {
            let backend = CUDA.backend(of: tensor.device, "copyToHost"), context = backend.context
            let source = tensor.detached().contiguous().raw, bytes = source.count * source.dtype.byteCount
            let block: PinnedMemory.Block
            do throws(CUDAError) { block = try context.pinned.allocate(bytes) } catch { fail("copyToHost", "\(error)") }
            if !context.refusesInCapture("a tensor is copied to the CPU") {
                context.copyToPinned(block.address, backend.address(source, "copyToHost"), bytes)
            }
            arrival = block.isUsed(by: context)
            result = Tensor(
                raw: RawTensor(
                    storage: Storage(readOnly: block.address, byteCount: bytes, owner: block), layout: source.layout, offset: 0,
                    dtype: source.dtype))
        }

        /// Whether ``wait()`` would not wait.
        public var isReady: Bool { arrival.isDone }

        /// The tensor on the CPU, when it has arrived.
        public func wait() -> Tensor {
            arrival.synchronize()
            return result
        }
    }
}
