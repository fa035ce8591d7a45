import ArgumentParser
import Tapestry

/// A device by its name on the command line.
enum DeviceOption {
    case cpu
    case cuda(Int)

    static func parse(_ text: String) throws -> DeviceOption {
        if text == "cpu" { return .cpu }
        if text == "cuda" { return .cuda(0) }
        if text.hasPrefix("cuda:"), let index = Int(text.dropFirst(5)) { return .cuda(index) }
        throw ValidationError("--device is \(text); it must be cpu or cuda:N")
    }

    /// The device itself. Throws ``CUDAError`` where there is none.
    func device() throws -> Device {
        switch self {
        case .cpu: .cpu
        case .cuda(let index): try CUDA.device(index)
        }
    }
}
