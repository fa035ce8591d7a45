import CKernels
import COpenBLAS

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What the library runs on and with. Printing it gives a short report.
public struct Configuration: Sendable, CustomStringConvertible {
    /// The library's version.
    public static let version = "0.1.0"

    /// Instruction set of the kernels: "AVX-512", "AVX2", "baseline" or "portable".
    public let instructionSet: String
    /// The best this CPU has.
    public let cpuInstructionSet: String
    /// The kernels OpenBLAS chose: "SkylakeX", "Cooperlake", "Haswell", "Zen" …
    public let blasCore: String
    /// OpenBLAS's version and build.
    public let blasBuild: String
    /// Threads of the pool that runs the kernels and the matrix products.
    public let threads: Int
    /// Settings that hold the library below what the machine can do.
    public let warnings: [String]

    /// The configuration in force.
    public static var current: Configuration { Configuration() }

    private init() {
        instructionSet = String(cString: tk_isa_name())
        cpuInstructionSet = String(cString: tk_cpu_isa_name())
        blasCore = String(cString: openblas_get_corename())
        blasBuild = String(cString: openblas_get_config())
        threads = Int(tk_thread_count())
        var warnings: [String] = []
        let avx512Cores = ["SkylakeX", "Cooperlake", "SapphireRapids"]
        if let forced = getenv("OPENBLAS_CORETYPE"), tk_cpu_isa_name().string == "AVX-512", !avx512Cores.contains(blasCore) {
            warnings.append(
                "OPENBLAS_CORETYPE=\(String(cString: forced)) holds OpenBLAS to its \(blasCore) kernels on a CPU with AVX-512; "
                    + "unset it for about twice the speed")
        }
        if getenv("OPENBLAS_L2_SIZE") != nil {
            warnings.append("OPENBLAS_L2_SIZE overrides the cache size OpenBLAS found; unset it unless you measured it")
        }
        if instructionSet != cpuInstructionSet {
            warnings.append("TAPESTRY_ISA holds the kernels to \(instructionSet) on a CPU with \(cpuInstructionSet)")
        }
        self.warnings = warnings
    }

    /// Number of threads for kernels and matrix products alike, the caller included. It starts as `OPENBLAS_NUM_THREADS`, else
    /// `TAPESTRY_NUM_THREADS`, else the cores this process may use. Results do not depend on it.
    public static var threadCount: Int {
        get { Int(tk_thread_count()) }
        set {
            if newValue < 1 { fail("threadCount", "\(newValue) threads; needs at least 1") }
            tk_set_thread_count(Int32(newValue))
        }
    }

    /// Whether 3 × 3 convolutions of float32 at stride 1, from 16 channels on either side, and their gradients may use Winograd's
    /// F(4 × 4, 3 × 3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016) on CPUs with AVX-512. It takes about
    /// half the time and rounds more: errors are 0.3 to 4.5 · 10⁻⁶ of the largest output, those of the direct sums some 10⁻⁷.
    /// At start it is allowed.
    public static var allowsWinogradConvolution: Bool {
        get { tk_allows_winograd() }
        set { tk_set_winograd(newValue) }
    }

    /// Version, kernels and threads, BLAS and any warnings, a line each.
    public var description: String {
        ([
            "Tapestry \(Configuration.version)",
            "kernels: \(instructionSet), \(threads) thread\(threads == 1 ? "" : "s")",
            "BLAS: \(blasBuild.trimmingTrailingSpace()), core \(blasCore)",
        ] + warnings.map { "warning: \($0)" }).joined(separator: "\n")
    }
}

extension UnsafePointer<CChar> {
    fileprivate var string: String { String(cString: self) }
}

extension String {
    fileprivate func trimmingTrailingSpace() -> String {
        var s = self
        while s.last == " " { s.removeLast() }
        return s
    }
}

/// Figures of the CPU's caching allocator, in bytes.
public struct MemoryStatistics: Sendable, Equatable {
    /// Handed out now, and the most since the last ``resetPeak()``.
    public let bytesInUse, peakBytesInUse: Int
    /// Kept for reuse.
    public let bytesCached: Int
    /// Allocations served, and those of them that went to the system.
    public let allocations, systemAllocations: Int

    /// The figures at this moment, over all threads.
    public static var current: MemoryStatistics {
        let s = tk_get_memory_stats()
        return MemoryStatistics(
            bytesInUse: Int(s.bytes_in_use), peakBytesInUse: Int(s.peak_bytes_in_use), bytesCached: Int(s.bytes_cached),
            allocations: Int(s.allocations), systemAllocations: Int(s.system_allocations))
    }

    /// Lets ``peakBytesInUse`` start again from what is in use now.
    public static func resetPeak() { tk_reset_peak_memory() }
    /// Gives the cached memory back to the system.
    public static func emptyCache() { tk_empty_cache() }
}
