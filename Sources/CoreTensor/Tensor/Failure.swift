#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Stops the program for a programmer's mistake with one sentence that names the operation, what is wrong and, found by
/// walking the stack, the line of the user's own code (the innermost frame outside this package's modules).
public func fail(_ operation: String, _ message: String) -> Never {
    stop("\(operation): \(message)", at: CallSite.currentUserLine())
}

/// Like ``fail(_:_:)``, for a mistake that shows only later: `site` is where the operation was called.
public func fail(_ operation: String, _ message: String, recordedAt site: CallSite) -> Never {
    stop("\(operation): \(message)", at: site.userLine)
}

private func stop(_ sentence: String, at line: String?) -> Never {
    let place = line.map { " at \($0)" } ?? ""
    fflush(nil)
    let text = Array("Fatal error: \(sentence)\(place)\n".utf8)
    _ = text.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    abort()
}
