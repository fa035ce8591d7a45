import CKernels

#if canImport(Runtime)
    import Foundation
    import Runtime
#endif

/// A few return addresses, taken in some nanoseconds where an operation is recorded and turned into a source line only
/// when an error has to name it.
public struct CallSite: Sendable {
    typealias Addresses = (UInt, UInt, UInt, UInt, UInt, UInt, UInt, UInt)
    var addresses: Addresses = (0, 0, 0, 0, 0, 0, 0, 0)

    @inline(__always)
    static func capture() -> CallSite {
        var site = CallSite()
        withUnsafeMutablePointer(to: &site.addresses) {
            $0.withMemoryRebound(to: UInt.self, capacity: 8) { _ = tk_capture_call_site($0, 8) }
        }
        return site
    }

    /// `Model.swift:31` of the innermost frame outside this package, or nil where the program has no debug information.
    public var userLine: String? { Self.userLines(of: [self])[0] }

    /// The ``userLine`` of each of several sites, for which the debug information is read once.
    public static func userLines(of sites: [CallSite]) -> [String?] {
        Symbolizer.userLines(
            of: sites.map { site in withUnsafeBytes(of: site.addresses) { calls(Array($0.bindMemory(to: UInt.self))) } })
    }

    /// The same for the whole stack here: for errors at once, where time does not matter.
    static func currentUserLine() -> String? {
        var deep = [UInt](repeating: 0, count: 64)
        let depth = Int(tk_capture_call_site(&deep, 64))
        return Symbolizer.userLines(of: [calls(Array(deep[..<depth]))])[0]
    }

    /// A return address is the instruction after the call, which may belong to the next line.
    private static func calls(_ addresses: [UInt]) -> [UInt] { addresses.filter { $0 != 0 }.map { $0 - 1 } }
}

/// Source lines of addresses, by the Swift runtime's own reader of debug information.
enum Symbolizer {
    /// The modules whose frames are ours. A user's error is never in one of them.
    static let ownModules = [
        "CoreTensor", "Autograd", "NN", "Optimizers", "Transformers", "Quantization", "Data", "Training", "Serving", "Tapestry",
        "CUDABackend", "WordEmbeddings",
    ]

    /// The first line of a user's in each of several stacks, the innermost call first.
    static func userLines(of stacks: [[UInt]]) -> [String?] {
        #if canImport(Runtime)
            var lines: [UInt: String] = [:]
            // What was inlined comes with the address that it was inlined at, the innermost function first.
            for frame in symbolicate(Array(Set(stacks.joined())))?.frames ?? [] {
                guard case .returnAddress(let address) = frame.captured, let key = UInt(address), lines[key] == nil,
                    let symbol = frame.symbol, let location = symbol.sourceLocation, location.line > 0
                else { continue }
                if isOurs(symbol.rawName) || isOurs(path: location.path) || location.path.hasPrefix("/<") { continue }
                if isRuntime(symbol.rawName, location.path) { continue }
                lines[key] = "\(location.path.split(separator: "/").last.map(String.init) ?? location.path):\(location.line)"
            }
            return stacks.map { stack in stack.lazy.compactMap { lines[$0] }.first }
        #else
            return stacks.map { _ in nil }
        #endif
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
