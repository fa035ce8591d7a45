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
                #expect(message(result).contains("cuda: no device 2: the machine has 1, numbered from 0"), "\(message(result))")
            }

            @Test func noDriver() async throws {
                let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                    CUDA.replaceDriver(.failure(.noDriver("no driver: libcuda.so.1 was not found on this machine")))
                    _ = Tensor([1.0]).to(.cuda(0))
                }
                #expect(
                    message(result).contains("cuda: no driver: libcuda.so.1 was not found on this machine"), "\(message(result))")
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
