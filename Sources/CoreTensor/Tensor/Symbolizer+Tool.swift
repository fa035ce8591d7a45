import CKernels
import Foundation

extension Symbolizer {
    /// The first program of this name on the PATH.
    private static func tool(_ name: String) -> URL? {
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").lazy.map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }.map { URL(fileURLWithPath: $0) }
    }

    /// What `llvm-symbolizer --output-style=JSON` says of an address.
    private struct Answer: Decodable {
        struct Function: Decodable {
            let FunctionName, FileName: String
            let Line: Int
        }
        let Symbol: [Function]?
    }

    /// The functions at each address by LLVM's program, the innermost first; nil if it is not there or fails.
    static func framesByTool(_ addresses: [UInt]) -> [UInt: [Frame]]? {
        guard let tool = tool("llvm-symbolizer") else { return nil }
        var places: [UInt] = [], arguments = ["--no-demangle", "--output-style=JSON"]
        for address in addresses {
            var path = [CChar](repeating: 0, count: 4096), own: UInt = 0
            if tk_find_code(address, &path, path.count, &own) == 0 { continue }
            places.append(address)
            let file = path.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
            arguments.append("\"\(file)\" 0x\(String(own, radix: 16))")
        }
        if places.isEmpty { return [:] }
        let process = Process(), output = Pipe()
        process.executableURL = tool
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.standardOutput = output
        guard (try? process.run()) != nil else { return nil }
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0, let answers = try? JSONDecoder().decode([Answer].self, from: data),
            answers.count == places.count
        else { return nil }
        return Dictionary(
            uniqueKeysWithValues: zip(places, answers).map { address, answer in
                let functions = answer.Symbol ?? []
                return (address, functions.map { Frame(mangledName: $0.FunctionName, path: $0.FileName, line: $0.Line) })
            })
    }
}
