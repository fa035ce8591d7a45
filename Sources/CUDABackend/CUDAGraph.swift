import CCUDA
import CoreTensor

extension CUDA {
    /// Work of a GPU that was recorded once and is started again as a whole, without the host's part in each operation (CUDA graphs).
    ///
    /// ```swift
    /// let step = try CUDA.Graph.capture([x, y]) { batch in
    ///     let loss = model.loss(batch[0], batch[1])
    ///     optimizer.zeroGrad()
    ///     loss.backward()
    ///     optimizer.step()
    ///     return [loss]
    /// }
    /// for (x, y) in batches { let loss = try step.replay([x, y])[0] }
    /// ```
    ///
    /// A replay gives what running `body` anew would give, bit for bit: random numbers go on from where their generators stand, and an
    /// optimizer's step uses its count and rates of then. What `body` decides on the CPU in other ways (a branch, a number computed from a
    /// number) stays as it was in the capture. Tensors from outside that `body` reads are the same ones in each replay: what changes is to be an
    /// input, or to be updated in place, as optimizers do.
    ///
    /// Run `body` once or more before, so that kernels are loaded and optimizers have their states. A capture runs nothing: gradients that it
    /// makes have no values before the first replay, and later replays write to them again.
    ///
    /// Memory that the work uses belongs to the graph until it is let go of. A graph is used by one thread at a time.
    public final class Graph {
        private let context: CUDAContext
        private let recorder: Recorder
        private let graph: tk_cu_graph
        private let executable: tk_cu_graph_exec
        private let inputs: [Tensor]
        private let outputs: [Tensor]
        /// The end of the last replay.
        private let end: Event
        /// Replays so far.
        public private(set) var replayCount = 0
        /// Kernels, copies and fills in the graph.
        public var nodeCount: Int { recorder.entries.count }

        private init(
            _ recorder: Recorder, _ graph: tk_cu_graph, _ executable: tk_cu_graph_exec, inputs: [Tensor], outputs: [Tensor]
        ) {
            context = recorder.context
            self.recorder = recorder
            self.graph = graph
            self.executable = executable
            self.inputs = inputs
            self.outputs = outputs
            end = Event(context, timing: false)
        }

        deinit {
            end.synchronize()
            context.enter()
            _ = context.driver.functions.destroy_graph_exec(executable)
            _ = context.driver.functions.destroy_graph(graph)
            context.allocator.graphEnds(recorder.pool, recorder.outside)
        }

        /// Records what `body` gives to `device` (where there are inputs: to theirs). It gets tensors with the inputs' shapes and types, and
        /// returns what a replay is to return.
        ///
        /// Throws ``CUDAError/notCapturable(_:)`` where a replay could not do the same: if an element is read on the CPU or data come from there,
        /// if a tensor from outside is read and then replaced by another, if random numbers are drawn for the CPU.
        public static func capture(
            _ inputs: [Tensor] = [], on device: Device = .cuda(0), _ body: ([Tensor]) throws -> [Tensor]
        ) throws -> Graph {
            if Recorder.current != nil { fail("Graph.capture", "inside another capture") }
            let device = inputs.first?.device ?? device
            let backend = CUDA.backend(of: device, "Graph.capture"), context = backend.context, driver = context.driver
            guard driver.functions.begin_capture != nil, driver.functions.capture_info != nil,
                driver.functions.set_kernel_node != nil
            else { throw CUDAError.notCapturable("the driver has no graphs whose launches can be changed") }
            // The graph's own, written by each replay.
            let own = inputs.map { input -> Tensor in
                if input.device != device { fail("Graph.capture", "inputs on \(device) and \(input.device)") }
                let copy = RawTensor(Layout(shape: input.shape), input.dtype, device)
                backend.copy(input.detached().contiguous().raw, to: copy)
                return Tensor(raw: copy)
            }
            let stream = try Stream(context), recorder = try Recorder(context, stream.handle)
            func check(_ result: tk_cu_result, _ call: String) throws {
                if result != Int32(TK_CU_SUCCESS) { throw CUDAError.notCapturable("\(call) fails: \(driver.describe(result))") }
            }
            var graph: tk_cu_graph?, executable: tk_cu_graph_exec?
            var outputs: [Tensor] = []
            do {
                context.enter()
                try check(driver.functions.begin_capture(stream.handle, Int32(TK_CU_CAPTURE_RELAXED)), "cuStreamBeginCapture")
                let body = Result {
                    try CUDA.catchingErrors {
                        try recorder.whileCapturing(stream) { outputs = try body(own).map { $0.detached().contiguous() } }
                    }
                }
                context.enter()
                let result = driver.functions.end_capture(stream.handle, &graph)
                try body.get()
                try check(result, "cuStreamEndCapture")
                try recorder.checkCapture()
                try check(driver.functions.instantiate_graph(&executable, graph, 0), "cuGraphInstantiate")
            } catch {
                if let graph { _ = driver.functions.destroy_graph(graph) }
                outputs = []
                context.allocator.graphEnds(recorder.pool, recorder.outside)
                throw error
            }
            return Graph(recorder, graph!, executable!, inputs: own, outputs: outputs)
        }

        /// The same for work without inputs and results: `let step = try CUDA.Graph.capture { train() }`.
        public static func capture(on device: Device = .cuda(0), _ body: () throws -> Void) throws -> Graph {
            try capture([], on: device) { _ in
                try body()
                return []
            }
        }

        /// Runs the work on the current stream with other inputs, which have the shapes and types of the capture's (and may be on the CPU), and
        /// returns copies of the results.
        ///
        /// Throws ``CUDAError/notCapturable(_:)`` if an optimizer's step is no longer the captured one: its parameters were replaced, or share
        /// memory with other tensors, such as a `stateDict` that is held. Nothing is run then (but the optimizer's count has
        /// gone on). Traps on other inputs, and if an index was out
        /// of range in a replay before, which is looked at when that is done.
        @discardableResult
        public func replay(_ inputs: [Tensor] = []) throws -> [Tensor] {
            if Recorder.current != nil { fail("Graph.replay", "inside a capture") }
            if inputs.count != self.inputs.count { fail("Graph.replay", "\(inputs.count) inputs for \(self.inputs.count)") }
            for (new, own) in zip(inputs, self.inputs) where new.shape != own.shape || new.dtype != own.dtype {
                fail("Graph.replay", "an input \(new.shape) of \(new.dtype) for \(own.shape) of \(own.dtype)")
            }
            if end.isDone { checkIndices() }
            let stream = context.stream
            context.wait(stream, for: end.handle)
            for (new, own) in zip(inputs, self.inputs) {
                own.raw.backend.copy(new.detached().contiguous().raw, to: own.raw)
            }
            if let difference = recorder.prepareReplay() {
                throw CUDAError.notCapturable(
                    "the optimizer's step is not the captured one: \(difference); capture it again, and hold no tensor that shares memory "
                        + "with a parameter or a state")
            }
            try update()
            context.enter()
            context.check(context.driver.functions.launch_graph(executable, stream), "starting a graph")
            end.record()
            replayCount += 1
            return outputs.map { output in
                let copy = RawTensor(output.raw.layout, output.dtype, output.device)
                copy.backend.copy(output.raw, to: copy)
                return Tensor(raw: copy)
            }
        }

        /// Waits until the last replay is done. Traps if an index was out of range in it.
        public func synchronize() {
            end.synchronize()
            checkIndices()
        }

        private func checkIndices() { if let finding = recorder.finding { fail("Graph.replay", finding) } }

        /// Gives the driver the arguments that have changed.
        private func update() throws {
            context.enter()
            for entry in recorder.changed {
                guard case .launch(var launch) = recorder.entries[entry], let node = launch.node else { continue }
                let result = launch.bytes.withUnsafeMutableBytes { bytes in
                    var places = launch.arguments.map { Optional(bytes.baseAddress! + $0.range.lowerBound) }
                    return places.withUnsafeMutableBufferPointer { places in
                        var parameters = tk_cu_kernel_node()
                        parameters.function = launch.function
                        (parameters.grid_x, parameters.grid_y, parameters.grid_z) = (
                            UInt32(launch.grid.0), UInt32(launch.grid.1), 1
                        )
                        (parameters.block_x, parameters.block_y, parameters.block_z) = (
                            UInt32(launch.block.0), UInt32(launch.block.1), 1
                        )
                        parameters.shared_bytes = UInt32(launch.shared)
                        parameters.arguments = places.baseAddress
                        return context.driver.functions.set_kernel_node(executable, node, &parameters)
                    }
                }
                if result != Int32(TK_CU_SUCCESS) {
                    throw CUDAError.driverFailed("changing \(launch.kernel) in a graph fails: \(context.driver.describe(result))")
                }
            }
        }
    }
}

extension Recorder {
    /// Runs the body of a capture on the stream that the driver records.
    func whileCapturing<R>(_ stream: CUDA.Stream, _ body: () throws -> R) rethrows -> R {
        ThreadLocal.workCapture = self
        defer { ThreadLocal.workCapture = nil }
        return try CUDA.run(on: stream) { try whileCurrent(body) }
    }

    /// Throws if replays would not do what the body did.
    func checkCapture() throws(CUDAError) {
        if let lost = draws.first(where: { $0.places.isEmpty && $0.counters > 0 }) {
            throw .notCapturable(
                "\(lost.counters * 4) random numbers were drawn in a capture that no kernel of the graph got; draw them outside")
        }
        for draw in draws {
            for place in draw.places {
                guard case .launch(let launch) = entries[place.entry], launch.node != nil else {
                    throw .notCapturable("the driver does not name the launches of a capture")
                }
            }
        }
        let replaced = context.allocator.abandonedBytes(outside)
        if replaced > 0 {
            throw .notCapturable(
                "\(replaced) bytes of tensors from outside were used in a capture and then replaced by others, which replays would not see; "
                    + "update them in place, or make them inputs and results")
        }
    }
}
