import CCUDA
import CoreTensor

extension CUDA {
    /// Several GPUs of one process that exchange tensors by NCCL, where the machine has it.
    ///
    /// ```swift
    /// let group = try CUDA.Communicator((0..<CUDA.deviceCount).map { Device.cuda($0) })
    /// let copies = try group.broadcast(weights)                    // one for each device
    /// let means = try group.allReduce(gradients, .mean)            // gradients[k] on the k-th device
    /// ```
    ///
    /// The k-th tensor of a list lies on the k-th device. Work goes to each device's current stream, so that what follows there finds the results,
    /// and nobody waits on the host. Nothing here is recorded for gradients. A communicator is used by one thread at a time.
    public final class Communicator: @unchecked Sendable {
        /// What is exchanged between, each device once.
        public let devices: [Device]
        private let nccl: tk_nccl
        private let communicators: [tk_nccl_comm]
        private let contexts: [CUDAContext]

        /// How elements of the same place become one.
        public enum Reduction: Sendable { case sum, product, maximum, minimum, mean }

        /// Throws ``CUDAError/noCommunication(_:)`` if NCCL is not there, or what it says. Stops if a device is no CUDA device or given twice.
        public init(_ devices: [Device]) throws(CUDAError) {
            if devices.isEmpty { fail("Communicator", "no devices") }
            if Set(devices.map(\.index)).count != devices.count { fail("Communicator", "a device twice among \(devices)") }
            let contexts = devices.map { CUDA.backend(of: $0, "Communicator").context }
            nccl = try contexts[0].driver.findCommunication()
            self.devices = devices
            self.contexts = contexts
            var made = [tk_nccl_comm?](repeating: nil, count: devices.count)
            contexts[0].enter()
            let result = nccl.init_all(&made, Int32(devices.count), devices.map { Int32($0.index) })
            if result != Int32(TK_NCCL_SUCCESS) { throw Self.error("ncclCommInitAll", result, nccl) }
            communicators = made.map { $0! }
        }

        deinit {
            for context in contexts { context.synchronizeAll() }
            for communicator in communicators { _ = nccl.destroy(communicator) }
        }

        // MARK: Collectives

        /// The reduction of the devices' tensors, which have one shape and type, on each of them.
        ///
        /// Floats and integers, the mean of floats alone. Throws what NCCL says.
        public func allReduce(_ tensors: [Tensor], _ reduction: Reduction = .sum) throws(CUDAError) -> [Tensor] {
            try allReduce(tensors.map { [$0] }, reduction).map { $0[0] }
        }

        /// The same for lists of tensors, such as all gradients of a model, in one call: `tensors[device][k]`.
        public func allReduce(_ tensors: [[Tensor]], _ reduction: Reduction = .sum) throws(CUDAError) -> [[Tensor]] {
            let sent = tensors.map { $0.map { $0.detached().contiguous() } }, name = "allReduce"
            if Set(sent.map(\.count)).count > 1 { fail(name, "lists of \(sent.map(\.count)) tensors") }
            for k in sent.first?.indices ?? 0..<0 { check(name, sent.map { $0[k] }, reduction) }
            if sent.count != devices.count { fail(name, "tensors for \(sent.count) devices; there are \(devices.count)") }
            let results = zip(sent, devices).map { list, device in list.map { Tensor(empty: $0.shape, $0.dtype, device) } }
            try group(name) { rank in
                for (x, y) in zip(sent[rank], results[rank]) where x.count > 0 {
                    let result = nccl.all_reduce(
                        address(x, rank), UnsafeMutableRawPointer(mutating: address(y, rank)), x.count, x.dtype.inNCCL!,
                        reduction.inNCCL, communicators[rank], contexts[rank].stream)
                    if result != Int32(TK_NCCL_SUCCESS) { return result }
                }
                return Int32(TK_NCCL_SUCCESS)
            }
            return results
        }

        /// A tensor of one of the devices, on each of them; the device's own is the tensor itself. Throws what NCCL says.
        public func broadcast(_ tensor: Tensor) throws(CUDAError) -> [Tensor] {
            let x = tensor.detached().contiguous(), name = "broadcast"
            guard let root = devices.firstIndex(of: x.device) else { fail(name, "a tensor on \(x.device) among \(devices)") }
            let results = devices.map { $0 == x.device ? x : Tensor(empty: x.shape, x.dtype, $0) }
            if x.count == 0 { return results }
            // Bytes, so of any type.
            let count = x.count * x.dtype.byteCount
            try group(name) { rank in
                let y = address(results[rank], rank)
                return nccl.broadcast(
                    y, UnsafeMutableRawPointer(mutating: y), count, Int32(TK_NCCL_U8), Int32(root), communicators[rank],
                    contexts[rank].stream)
            }
            return results
        }

        /// The devices' tensors `[n, …]` one after the other, `[devices · n, …]`, on each of them. Throws what NCCL says.
        public func allGather(_ tensors: [Tensor]) throws(CUDAError) -> [Tensor] {
            let sent = tensors.map { $0.detached().contiguous() }, name = "allGather"
            check(name, sent, nil)
            let shape = gathered(name, sent[0].shape)
            let results = devices.map { Tensor(empty: shape, sent[0].dtype, $0) }
            let count = sent[0].count * sent[0].dtype.byteCount
            if count == 0 { return results }
            try group(name) { rank in
                nccl.all_gather(
                    address(sent[rank], rank), UnsafeMutableRawPointer(mutating: address(results[rank], rank)), count,
                    Int32(TK_NCCL_U8), communicators[rank], contexts[rank].stream)
            }
            return results
        }

        /// Of the reduction of the devices' tensors `[devices · n, …]` the k-th part `[n, …]` on the k-th. Throws what NCCL says.
        public func reduceScatter(_ tensors: [Tensor], _ reduction: Reduction = .sum) throws(CUDAError) -> [Tensor] {
            let sent = tensors.map { $0.detached().contiguous() }, name = "reduceScatter"
            check(name, sent, reduction)
            var shape = sent[0].shape
            if shape.isEmpty || shape[0] % devices.count != 0 {
                fail(name, "\(shape) has no first axis that \(devices.count) devices divide; pad it")
            }
            shape[0] /= devices.count
            let results = devices.map { Tensor(empty: shape, sent[0].dtype, $0) }
            if sent[0].count == 0 { return results }
            try group(name) { rank in
                nccl.reduce_scatter(
                    address(sent[rank], rank), UnsafeMutableRawPointer(mutating: address(results[rank], rank)),
                    results[rank].count, sent[0].dtype.inNCCL!, reduction.inNCCL, communicators[rank], contexts[rank].stream)
            }
            return results
        }

        // MARK: Helpers

        private func gathered(_ name: String, _ shape: Shape) -> Shape {
            if shape.isEmpty { fail(name, "numbers have no axis to lie along; reshape them to [1]") }
            return [shape[0] * devices.count] + shape.dropFirst()
        }

        private func check(_ name: String, _ tensors: [Tensor], _ reduction: Reduction?) {
            if tensors.map(\.device) != devices { fail(name, "tensors on \(tensors.map(\.device)), in this order on \(devices)") }
            if tensors.contains(where: { $0.shape != tensors[0].shape || $0.dtype != tensors[0].dtype }) {
                fail(name, "\(tensors.map { "\($0.shape) of \($0.dtype)" }); all have one shape and type")
            }
            guard let reduction else { return }
            let type = tensors[0].dtype
            if type.inNCCL == nil || (reduction == .mean && !type.isFloatingPoint) {
                fail(name, "the \(reduction) of \(type); convert with to(_:)")
            }
        }

        private func address(_ x: Tensor, _ rank: Int) -> UnsafeRawPointer {
            UnsafeRawPointer(
                bitPattern: UInt(CUDA.backend(of: devices[rank], "Communicator").address(x.raw, "Communicator")))!
        }

        /// One call for all devices: `body` gives each one's part of it.
        private func group(_ name: String, _ body: (Int) -> Int32) throws(CUDAError) {
            for context in contexts where context.refusesInCapture("\(name) of several devices") { return }
            var result = nccl.group_start()
            for (rank, context) in contexts.enumerated() where result == Int32(TK_NCCL_SUCCESS) {
                context.enter()
                result = body(rank)
            }
            // The group is ended whatever happened.
            let end = nccl.group_end()
            if result == Int32(TK_NCCL_SUCCESS) { result = end }
            if result != Int32(TK_NCCL_SUCCESS) { throw Self.error(name, result, nccl) }
        }

        private static func error(_ call: String, _ result: Int32, _ nccl: tk_nccl) -> CUDAError {
            .communicationFailed("\(call) fails: \(nccl.error_string(result).map { String(cString: $0) } ?? "error \(result)")")
        }
    }
}

extension CUDA.Communicator.Reduction {
    fileprivate var inNCCL: Int32 {
        switch self {
        case .sum: Int32(TK_NCCL_SUM)
        case .product: Int32(TK_NCCL_PRODUCT)
        case .maximum: Int32(TK_NCCL_MAXIMUM)
        case .minimum: Int32(TK_NCCL_MINIMUM)
        case .mean: Int32(TK_NCCL_MEAN)
        }
    }
}

extension DType {
    /// What NCCL adds up; nil for other types.
    fileprivate var inNCCL: Int32? {
        switch self {
        case .float32: Int32(TK_NCCL_F32)
        case .float64: Int32(TK_NCCL_F64)
        case .float16: Int32(TK_NCCL_F16)
        case .bfloat16: Int32(TK_NCCL_BF16)
        case .int8: Int32(TK_NCCL_I8)
        case .uint8: Int32(TK_NCCL_U8)
        case .int32: Int32(TK_NCCL_I32)
        case .int64: Int32(TK_NCCL_I64)
        default: nil
        }
    }
}

extension Tensor {
    /// Elements that somebody will write.
    fileprivate init(empty shape: Shape, _ dtype: DType, _ device: Device) {
        self.init(raw: RawTensor(Layout(shape: shape), dtype, device))
    }
}
