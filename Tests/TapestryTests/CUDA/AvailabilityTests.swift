import CCUDA
import CUDAEmulator
import Foundation
import Tapestry
import Testing

@testable import CUDABackend

extension CUDATests {
    /// Why CUDA is off, in a sentence.
    @Suite struct Availability {
        private func reason(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "no error"
            } catch { return "\(error)" }
        }

        @Test func noDriver() {
            let text = reason { _ = try CUDADriver.open("libcuda-that-is-not-there.so.1") }
            #expect(text == "no driver: libcuda-that-is-not-there.so.1 was not found on this machine")
        }

        @Test func noDriverInDisguise() {
            let text = reason { _ = try CUDADriver.open("libm.so.6") }
            #expect(text == "libm.so.6 has no function cuInit: it is no CUDA driver, or one older than 525")
        }

        @Test func oldDriver() {
            let text = reason {
                try Emulated.with {
                    $0.cuda_version = 11_040
                } _: {
                    _ = try CUDADriver($0)
                }
            }
            #expect(text == "driver 470 is older than 525: it speaks CUDA 11.4, and 12.0 is needed")
        }

        @Test func noDevice() {
            let none = reason {
                try Emulated.with {
                    $0.device_count = 0
                } _: {
                    _ = try CUDADriver($0)
                }
            }
            #expect(none == "no device: the driver finds no GPU")
            let refused = reason {
                try Emulated.with {
                    $0.start_result = Int32(TK_CU_NO_DEVICE)
                } _: {
                    _ = try CUDADriver($0)
                }
            }
            #expect(refused == "no device: the driver finds no GPU")
            let old = reason {
                try Emulated.with {
                    $0.capability = 61
                } _: {
                    _ = try CUDADriver($0)
                }
            }
            #expect(old == "no device: the newest GPU is sm_61, and sm_75 is needed")
        }

        @Test func brokenDriver() {
            let text = reason {
                try Emulated.with {
                    $0.start_result = 999
                } _: {
                    _ = try CUDADriver($0)
                }
            }
            #expect(text.hasPrefix("cuInit fails: an emulated error"))
        }

        /// A driver that is older than the kernels' PTX does not take them: the first operation says so.
        @Test func kernelsThatAreTooNew() {
            let text = reason {
                try Emulated.with {
                    $0.module_result = Int32(TK_CU_UNSUPPORTED_PTX)
                } _: {
                    let context = try CUDAContext(CUDADriver($0), index: 0)
                    try CUDA.catchingErrors { context.launch(KernelName("tk_arange"), grid: (1, 1), block: (256, 1), 0) }
                }
            }
            #expect(
                text.hasPrefix("the driver (CUDA 12.0) does not take the kernels ")
                    && text.contains("CUDA_ERROR_UNSUPPORTED_PTX_VERSION") && text.contains("install a newer driver"), "\(text)")
        }

        @Test func aDeviceThatIsNotThere() {
            _ = Emulated.device
            #expect(reason { _ = try CUDA.device(3) } == "no device 3: the machine has 2, numbered from 0")
            #expect(reason { _ = try CUDA.device(-1) } == "no device -1: the machine has 2, numbered from 0")
        }

        @Test func theDeviceOfTheEmulator() {
            #expect(Emulated.device.description == "cuda:0")
            #expect(CUDA.isAvailable && CUDA.unavailableReason == nil && CUDA.deviceCount == 2)
            #expect(CUDA.describe(Emulated.device) == "emulated sm_90, sm_90, 2 multiprocessors, 1024 MB")
        }

        /// The libraries that are used where they are: looked for, and never needed.
        @Test(arguments: [
            (TK_CUDA_CUBLASLT, "TAPESTRY_CUBLASLT", "cuBLASLt", "cublasLtGetVersion"),
            (TK_CUDA_NCCL, "TAPESTRY_NCCL", "NCCL", "ncclGetVersion"),
        ])
        func libraries(_ library: tk_cuda_library, _ variable: String, _ title: String, _ symbol: String) {
            func message(_ status: tk_cuda_library_status) -> String {
                withUnsafeBytes(of: status.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            }
            setenv(variable, "libm.so.6", 1)
            #expect(message(tk_cuda_find_library(library)) == "libm.so.6 is not \(title): it has no \(symbol)")
            setenv(variable, "/nowhere/at/all.so", 1)
            #expect(message(tk_cuda_find_library(library)).hasPrefix("\(title) does not open: /nowhere/at/all.so"))
            unsetenv(variable)
            let found = tk_cuda_find_library(library)
            if found.handle == nil { #expect(message(found) == "\(title) was not found; \(variable) can name its file") }
        }

        /// The driver translates a text when the first of its kernels is used, and no other.
        @Test func textsAreLoadedWhenUsed() throws {
            _ = Emulated.device
            let backend = CUDABackend(try CUDAContext(CUDADriver(Emulated.table()), index: 0))
            let x = Tensor([1.0, 2, 3]).emulated.raw, out = Tensor(zeros: [3], device: Emulated.device).raw
            func texts(_ body: () -> Void) -> Int64 {
                let before = tk_emulator_get_statistics().modules
                body()
                return tk_emulator_get_statistics().modules - before
            }
            #expect(texts { backend.unary(.exp, x, out) } == 1)
            #expect(texts { for op in [UnaryKernel.exp, .sin, .tanh] { backend.unary(op, x, out) } } == 0)
            #expect(texts { backend.binary(.add, x, x, out) } == 1)
        }

        /// Every kernel of the committed PTX is one of the emulator's, and the other way round.
        @Test func imagesHoldTheKernels() {
            var inImages: Set<Substring> = []
            for place in 0..<tk_cuda_image_count() {
                let image = tk_cuda_image_at(place)
                let text = String(cString: image.text)
                #expect(text.utf8.count == image.size && text.contains(".version 8.0"))
                var names: Set<Substring> = []
                for line in text.split(separator: "\n") where line.contains(".entry ") {
                    names.insert(line.split(separator: " ").last!.prefix { $0 != "(" })
                }
                #expect(names == Set(String(cString: image.kernels).split(separator: " ")), "\(String(cString: image.source))")
                inImages.formUnion(names)
            }
            let emulated = Set(String(cString: tk_emulator_kernel_names()).split(separator: "\n"))
            #expect(inImages == emulated, "\(inImages.symmetricDifference(emulated).sorted())")
        }
    }
}
