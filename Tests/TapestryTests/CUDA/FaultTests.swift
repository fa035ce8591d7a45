import CCUDA
import CUDAEmulator
import ConformanceSuite
import Tapestry
import Testing

@testable import CUDABackend

extension CUDATests {
    /// Faults planted in the kernels are seen: the emulator is strict enough to trust.
    @Suite struct Faults {
        private let x = Tensor(uniform: [70, 45], low: -1, high: 1, generator: RandomGenerator(seed: 3))

        /// Whether a result differs from the CPU's in any order of threads, or a launch fails.
        private func isSeen(_ fault: String, _ f: (Tensor) -> Tensor) -> Bool {
            let expected = f(x), there = x.emulated
            return Emulated.faulty(fault) {
                Emulated.orders.contains { order in
                    Emulated.ordered(order) {
                        do {
                            let actual = try CUDA.catchingErrors { f(there).onCPU }
                            return mismatch(actual, expected) != nil
                        } catch { return true }
                    }
                }
            }
        }

        @Test func aMissingBarrier() {
            #expect(isSeen("missing barrier") { $0.transposed().contiguous() })
            #expect(isSeen("missing barrier") { $0.sum(1) })
            #expect(isSeen("missing barrier") { $0.sum(0) })
            #expect(isSeen("missing barrier") { $0.matmul($0.transposed()) })
        }

        @Test func aWrongStride() {
            #expect(isSeen("wrong stride") { $0 - $0[0..<1] * 2 })
            #expect(isSeen("wrong stride") { $0.transposed().matmul($0) })
        }

        @Test func theFirstElementLeftOut() {
            #expect(isSeen("off by one") { exp($0) })
            #expect(isSeen("off by one") { $0[0..., 1..<20].contiguous() })
        }

        @Test func anElementTooMany() {
            // A block of its own from the driver, so that what lies behind it is the emulator's.
            CUDA.emptyCache(Emulated.device)
            let before = tk_emulator_get_statistics().damaged_blocks
            let one = Tensor(1, device: Emulated.device), mask = Tensor(true, device: Emulated.device).expanded(to: [1_572_864])
            Emulated.faulty("one too many") { _ = which(mask, one, one) }
            CUDA.emptyCache(Emulated.device)
            #expect(tk_emulator_get_statistics().damaged_blocks > before)
        }

        @Test func soundKernelsPass() {
            #expect(!isSeen("no such fault") { $0.transposed().contiguous() })
            #expect(!isSeen("no such fault") { $0.sum(0) })
            #expect(!isSeen("no such fault") { $0.matmul($0.transposed()) })
            #expect(!isSeen("no such fault") { exp($0) })
            #expect(tk_emulator_get_statistics().launches > 0)
        }

        /// A barrier that not every thread reaches ends the launch; the error names the kernel and its grid.
        @Test func aLaunchThatFails() {
            let backend = try! CUDA.backend(0)
            #expect {
                try CUDA.catchingErrors {
                    // A warp of 31 threads cannot shuffle.
                    let x = Tensor(ones: [8], device: Emulated.device),
                        out = Tensor(zeros: [1], dtype: .float64, device: Emulated.device)
                    backend.context.launch(
                        KernelName("tk_squares", "f32"), grid: (1, 1), block: (31, 1), backend.address(x.raw, "test"),
                        backend.address(out.raw, "test"), 8)
                }
            } throws: { error in
                "\(error)".hasPrefix(
                    "kernel tk_squares_f32 on a grid of 1 × 1 blocks of 31 × 1 threads failed: CUDA_ERROR_LAUNCH_FAILED")
            }
        }
    }
}
