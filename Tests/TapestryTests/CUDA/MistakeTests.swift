#if compiler(>=6.2)
    import CUDAEmulator
    import Tapestry
    import Testing

    @testable import CUDABackend

    extension CUDATests {
        /// A programmer's mistake with devices stops the program with a sentence that names the operation and the mend.
        @Suite struct Mistakes {
            private func message(_ result: ExitTest.Result?) -> String {
                String(decoding: result?.standardErrorContent ?? [], as: UTF8.self).split(separator: "\n")
                    .first { $0.contains("Fatal error:") }.map(String.init) ?? "no message"
            }

            @Test func mixedDevices() async throws {
                let sum = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    _ = Tensor(ones: [3], device: Emulated.device) + Tensor(ones: [3])
                }
                #expect(message(sum).contains("add: operands on cuda:0 and cpu; move one with to(device:)"), "\(message(sum))")
                let product = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    _ = Tensor(ones: [3, 4]).matmul(Tensor(ones: [4, 3], device: Emulated.device))
                }
                #expect(
                    message(product).contains("matmul: operands on cpu and cuda:0; move one with to(device:)"),
                    "\(message(product))")
                let rows = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    _ = embedding(Tensor([0, 1]), Tensor(ones: [4, 3], device: Emulated.device))
                }
                #expect(message(rows).contains("embedding: operands on cuda:0 and cpu"), "\(message(rows))")
                let joined = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    _ = concatenate([Tensor(ones: [4, 3], device: Emulated.device), Tensor(ones: [4, 3])])
                }
                #expect(message(joined).contains("concatenate: operands on cuda:0 and cpu"), "\(message(joined))")
            }

            @Test func noKernel() async throws {
                let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    // A call that no operation makes.
                    let z = RawTensor(Layout(shape: [1]), .complex64, Emulated.device)
                    Backends.backend(for: Emulated.device).unary(.lgamma, z, z)
                }
                #expect(
                    message(result).contains(
                        "lgamma: there is no CUDA kernel for lgamma of complex64 yet; move the tensors to the CPU with to(device: .cpu)"
                    ),
                    "\(message(result))")
            }

            @Test func aDeviceThatIsNotThere() async throws {
                let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    _ = Emulated.device
                    _ = Tensor([1.0], device: .cuda(2))
                }
                #expect(message(result).contains("cuda: no device 2: the machine has 2, numbered from 0"), "\(message(result))")
            }

            @Test func noDriver() async throws {
                let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    CUDA.replaceDriver(.failure(.noDriver("no driver: libcuda.so.1 was not found on this machine")))
                    _ = Tensor([1.0]).to(.cuda(0))
                }
                #expect(
                    message(result).contains("cuda: no driver: libcuda.so.1 was not found on this machine"), "\(message(result))")
            }

            fileprivate static func failingKernel(_ waits: Bool) {
                let x = Tensor(ones: [8], device: Emulated.device),
                    out = Tensor(zeros: [1], dtype: .float64, device: Emulated.device)
                let backend = try! CUDA.backend(0)
                CUDA.waitForLaunches(waits, Emulated.device)
                tk_emulator_set_delayed(1)
                // A warp of 31 threads cannot shuffle.
                backend.context.launch(
                    KernelName("tk_squares", "f32"), grid: (1, 1), block: (31, 1), backend.address(x.raw, "test"),
                    backend.address(out.raw, "test"), 8)
                _ = out.item(Double.self)
            }

            /// A kernel that fails while it runs is noticed later, and named only where launches are waited for.
            @Test func aKernelThatFails() async throws {
                let later = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    Mistakes.failingKernel(false)
                }
                #expect(message(later).contains("fails: CUDA_ERROR_LAUNCH_FAILED"), "\(message(later))")
                #expect(message(later).contains("TAPESTRY_CUDA_LAUNCH_BLOCKING=1 names the kernel"), "\(message(later))")
                let named = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    Mistakes.failingKernel(true)
                }
                #expect(
                    message(named).contains(
                        "kernel tk_squares_f32 on a grid of 1 × 1 blocks of 31 × 1 threads failed: CUDA_ERROR_LAUNCH_FAILED"),
                    "\(message(named))")
                #expect(message(named).contains("MistakeTests.swift:"), "the user's line: \(message(named))")
            }

            @Test func inACapture() async throws {
                let stream = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    let side = try! CUDA.Stream(device: Emulated.device)
                    _ = try CUDA.Graph.capture(on: Emulated.device) { _ in
                        CUDA.withStream(side) {}
                        return []
                    }
                }
                #expect(message(stream).contains("withStream: inside a capture"), "\(message(stream))")
                let step = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    let p = Parameter(Tensor([1.0], device: Emulated.device)), optimizer = Adam([p])
                    _ = try CUDA.Graph.capture(on: Emulated.device) { _ in
                        p.value.sum().backward()
                        optimizer.step()
                        return []
                    }
                }
                #expect(message(step).contains("Optimizer.step: the first step"), "\(message(step))")
                let index = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    let table = Tensor(ones: [4, 3], device: Emulated.device)
                    let graph = try CUDA.Graph.capture([Tensor([0, 1], device: Emulated.device)]) { [embedding($0[0], table)] }
                    try graph.replay([Tensor([2, 3])])
                    graph.synchronize()
                    try graph.replay([Tensor([2, 4])])
                    graph.synchronize()
                }
                #expect(
                    message(index).contains("Graph.replay: the index at position 1 of an index tensor was outside 0 ..< 4"),
                    "\(message(index))")
                let shape = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    let graph = try CUDA.Graph.capture([Tensor([0.0, 1], device: Emulated.device)]) { [$0[0] + 1] }
                    try graph.replay([Tensor([2.0])])
                }
                #expect(message(shape).contains("Graph.replay: an input [1] of float32 for [2] of float32"), "\(message(shape))")
            }

            @Test func outOfMemory() async throws {
                let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    _ = Tensor(ones: [1 << 30], device: Emulated.device)
                }
                #expect(
                    message(result).contains("allocate: cuda:0 is out of memory: 4294967296 bytes asked for; of 1024 MB"),
                    "\(message(result))")
            }
        }
    }
#endif
