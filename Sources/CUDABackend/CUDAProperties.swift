import CCUDA
import CoreTensor

extension CUDA {
    /// What a GPU is, and what of the library runs on it.
    public struct Properties: Sendable, Codable, Equatable {
        /// "NVIDIA H200".
        public let name: String
        /// Ten times the major number of the compute capability, plus the minor: 90.
        public let capability: Int
        /// Multiprocessors.
        public let multiprocessors: Int
        /// The highest clock rate of the multiprocessors, in kHz; 0 if the driver does not say.
        public let clockKilohertz: Int
        /// Bytes of memory.
        public let memoryBytes: Int
        /// The version of CUDA that the driver speaks: "12.4".
        public let driverVersion: String
        /// The kinds of kernels that the device runs, the most specific first: "tensor_sm80".
        public let kernelImages: [String]
    }

    /// What a device is.
    public static func properties(_ device: Device = .cuda(0)) -> Properties {
        let context = backend(of: device, "properties").context, version = context.driver.cudaVersion
        return Properties(
            name: context.name, capability: context.capability, multiprocessors: context.multiprocessors,
            clockKilohertz: context.clockKilohertz, memoryBytes: context.totalMemory,
            driverVersion: "\(version / 1000).\(version % 1000 / 10)",
            kernelImages: context.imageNames)
    }

    /// A library of NVIDIA's that is used where it is.
    public struct Library: Sendable, Codable, Equatable {
        /// "cuBLASLt" or "NCCL".
        public let name: String
        /// Where it was found; nil if it was not.
        public let path: String?
        /// Its version as it counts itself; nil if it was not found.
        public let version: Int?
        /// Why it was not found.
        public let reason: String?
    }

    /// Looks for cuBLASLt and NCCL.
    public static var libraries: [Library] {
        [(TK_CUDA_CUBLASLT, "cuBLASLt"), (TK_CUDA_NCCL, "NCCL")].map { kind, name in
            let status = tk_cuda_find_library(kind)
            func text<T>(_ value: T) -> String {
                withUnsafeBytes(of: value) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            }
            let isThere = status.handle != nil
            return Library(
                name: name, path: isThere ? text(status.path) : nil, version: isThere ? Int(status.version) : nil,
                reason: isThere ? nil : text(status.message))
        }
    }
}
