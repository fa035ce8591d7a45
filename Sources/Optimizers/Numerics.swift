#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

// The C library's functions on Double: the modules of this package have functions of the same names on tensors.
func pow(_ x: Double, _ y: Double) -> Double { libraryPow(x, y) }
func cos(_ x: Double) -> Double { libraryCos(x) }
func log(_ x: Double) -> Double { libraryLog(x) }

#if canImport(Glibc)
    private let libraryPow: @Sendable (Double, Double) -> Double = Glibc.pow
    private let libraryCos: @Sendable (Double) -> Double = Glibc.cos
    private let libraryLog: @Sendable (Double) -> Double = Glibc.log
#elseif canImport(Musl)
    private let libraryPow: @Sendable (Double, Double) -> Double = Musl.pow
    private let libraryCos: @Sendable (Double) -> Double = Musl.cos
    private let libraryLog: @Sendable (Double) -> Double = Musl.log
#endif
