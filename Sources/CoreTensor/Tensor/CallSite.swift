import CKernels

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
