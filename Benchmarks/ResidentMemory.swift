import Foundation

/// What of this process is in memory, as Linux counts it (proc(5)).
enum ResidentMemory {
    /// Lets the peak start again from what is in memory now.
    static func resetPeak() {
        guard let file = FileHandle(forWritingAtPath: "/proc/self/clear_refs") else { return }
        try? file.write(contentsOf: Data("5".utf8))
        try? file.close()
    }

    /// The peak since the last reset, in units of 10⁶ bytes; nil where the system does not tell.
    static var peakMegabytes: Double? { status("VmHWM:") }

    /// What is in memory now, mapped files included, in units of 10⁶ bytes.
    static var megabytes: Double? { status("VmRSS:") }

    private static func status(_ name: String) -> Double? {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
            let line = status.split(separator: "\n").first(where: { $0.hasPrefix(name) }),
            let kibibytes = Double(line.split(whereSeparator: \.isWhitespace)[1])
        else { return nil }
        return kibibytes * 1024 / 1e6
    }
}
