import CoreTensor

extension CUDA {
    /// Copies the batches of a sequence to a GPU ahead of their use: while one is worked with, the next is on its way in a stream of its own,
    /// from pinned memory. Sequences make it by `prefetched(to:depth:_:)`.
    public struct Prefetched<Base: AsyncSequence, Batch>: AsyncSequence {
        /// What ``AsyncSequence`` asks for.
        public typealias Element = Batch
        let base: Base
        let device: Device
        let depth: Int
        let move: (Base.Element, (Tensor) -> Tensor) throws -> Batch

        /// Starts over with the sequence's first batch.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(base: base.makeAsyncIterator(), uploads: Uploads(device, depth: depth), move: move)
        }

        /// Hands out one batch after the other.
        public struct AsyncIterator: AsyncIteratorProtocol {
            var base: Base.AsyncIterator
            var uploads: Uploads<Batch>
            let move: (Base.Element, (Tensor) -> Tensor) throws -> Batch
            var isOver = false

            /// The next batch, whose copy the device's default stream waits for, or nil after the last.
            public mutating func next() async throws -> Batch? {
                let move = move
                while !isOver && uploads.hasRoom {
                    guard let element = try await base.next() else {
                        isOver = true
                        break
                    }
                    try uploads.start { try move(element, $0) }
                }
                return uploads.next()
            }
        }
    }

    /// Batches on their way to a device.
    public struct Uploads<Batch> {
        private let device: Device
        private let depth: Int
        private let context: CUDAContext
        private let stream: Stream
        private var ready: [(batch: Batch, arrival: Event)] = []

        /// Room for `depth` batches at a time: 2 copies one while another is worked with. Traps if the device is none of CUDA's, or makes no
        /// stream.
        public init(_ device: Device, depth: Int = 2) {
            if depth < 1 { fail("Uploads", "a depth of \(depth); needs at least 1") }
            self.device = device
            self.depth = depth
            context = CUDA.backend(of: device, "Uploads").context
            do throws(CUDAError) { stream = try Stream(context) } catch { fail("Uploads", "\(error)") }
        }

        /// Whether a further batch can be started.
        public var hasRoom: Bool { ready.count < depth }

        /// Starts copying a batch. `body` makes it, and copies tensors by the function that it gets.
        public mutating func start(_ body: ((Tensor) -> Tensor) throws -> Batch) rethrows {
            let device = device
            let batch = try CUDA.withStream(stream) { try body { $0.pinned(for: device).to(device: device) } }
            ready.append((batch, stream.record()))
        }

        /// The batch started first, nil if there is none. What the current stream of this thread is given from now on waits for it.
        public mutating func next() -> Batch? {
            if ready.isEmpty { return nil }
            let (batch, arrival) = ready.removeFirst()
            CUDA.currentStream(device).wait(for: arrival)
            return batch
        }
    }
}

extension AsyncSequence {
    /// The batches of this sequence on a GPU, `depth` of them ahead of their use (2: one is copied while another is worked with).
    ///
    /// ```swift
    /// for try await (images, labels) in loader.prefetched(to: .cuda(0), { ($1($0.images), $1($0.labels)) }) { … }
    /// ```
    /// - Parameter move: makes a batch of an element; it copies tensors by the function that it gets.
    public func prefetched<Batch>(
        to device: Device, depth: Int = 2, _ move: @escaping (Element, (Tensor) -> Tensor) throws -> Batch
    ) -> CUDA.Prefetched<Self, Batch> {
        CUDA.Prefetched(base: self, device: device, depth: depth, move: move)
    }
}
