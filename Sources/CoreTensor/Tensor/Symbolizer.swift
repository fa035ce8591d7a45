#if canImport(Runtime)
    import Foundation
    import Runtime
#endif

/// Source lines of addresses: by `llvm-symbolizer`, which every Swift toolchain has, where it is on the PATH; else by the Swift runtime's own reader
/// of debug information, which takes seconds for a large program.
enum Symbolizer {
    /// The modules whose frames are ours. A user's error is never in one of them.
    static let ownModules = [
        "CoreTensor", "Autograd", "NN", "Optimizers", "Transformers", "Quantization", "Data", "Training", "Serving", "Tapestry",
        "CUDABackend", "WordEmbeddings",
    ]

    /// A function that an address is in, or was inlined into.
    struct Frame {
        let mangledName, path: String
        let line: Int
    }

    /// The first line of a user's in each of several stacks, the innermost call first.
    static func userLines(of stacks: [[UInt]]) -> [String?] {
        let addresses = Array(Set(stacks.joined())), frames = framesByTool(addresses) ?? framesByRuntime(addresses)
        let lines = frames.compactMapValues { $0.first(where: isUsers).map(text) }
        return stacks.map { stack in stack.lazy.compactMap { lines[$0] }.first }
    }

    private static func text(_ frame: Frame) -> String {
        "\(frame.path.split(separator: "/").last.map(String.init) ?? frame.path):\(frame.line)"
    }

    private static func isUsers(_ frame: Frame) -> Bool {
        if frame.line <= 0 || frame.path.isEmpty || frame.path.hasPrefix("/<") { return false }
        return !isOurs(frame.mangledName) && !isOurs(path: frame.path) && !isRuntime(frame.mangledName, frame.path)
    }

    private static func isOurs(_ mangled: String) -> Bool {
        guard mangled.hasPrefix("$s") else { return mangled.hasPrefix("tk_") }
        return ownModules.contains { mangled.hasPrefix("$s\($0.utf8.count)\($0)") }
    }

    /// Inlined frames carry the name of an outer symbol; the file tells them apart. Some debug information has paths from the
    /// package's root.
    private static func isOurs(path: String) -> Bool {
        let here = #filePath
        guard let end = here.range(of: "CoreTensor/Tensor/") else { return false }
        let sources = here[..<end.lowerBound]
        return ownModules.contains { path.hasPrefix("\(sources)\($0)/") || path.hasPrefix("Sources/\($0)/") }
    }

    private static func isRuntime(_ mangled: String, _ path: String) -> Bool {
        mangled.hasPrefix("$ss") || mangled.hasPrefix("swift_") || path.contains("<compiler-generated>")
    }

    /// The functions at each address, by the runtime, the innermost first.
    static func framesByRuntime(_ addresses: [UInt]) -> [UInt: [Frame]] {
        var frames: [UInt: [Frame]] = [:]
        #if canImport(Runtime)
            // What was inlined comes with the address that it was inlined at.
            for frame in symbolicate(addresses)?.frames ?? [] {
                guard case .returnAddress(let address) = frame.captured, let key = UInt(address), let symbol = frame.symbol,
                    let location = symbol.sourceLocation
                else { continue }
                frames[key, default: []].append(Frame(mangledName: symbol.rawName, path: location.path, line: location.line))
            }
        #endif
        return frames
    }

    #if canImport(Runtime)
        /// A backtrace can only be captured or decoded; so the addresses are written in its serialised form, the compact
        /// backtrace format of the Swift runtime (docs: CompactBacktraceFormat.md), and decoded.
        private static func symbolicate(_ addresses: [UInt]) -> SymbolicatedBacktrace? {
            var bytes: [UInt8] = [0b0000_0010]  // version 0, 64-bit words
            for address in addresses {
                bytes.append(0x20 | 0x08 | 7)  // a return address, absolute, 8 bytes, most significant first
                for shift in stride(from: 56, through: 0, by: -8) {
                    bytes.append(UInt8(truncatingIfNeeded: address >> UInt(shift)))
                }
            }
            guard let template = try? Backtrace.capture(limit: 1),
                let encoded = try? JSONEncoder().encode(template),
                var object = (try? JSONSerialization.jsonObject(with: encoded)) as? [String: Any]
            else { return nil }
            object["backtrace"] = Data(bytes).base64EncodedString().replacingOccurrences(of: "=", with: "")
            guard let data = try? JSONSerialization.data(withJSONObject: object),
                let backtrace = try? JSONDecoder().decode(Backtrace.self, from: data)
            else { return nil }
            return backtrace.symbolicated()
        }
    #endif
}
