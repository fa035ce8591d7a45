import Foundation

@testable import Data

/// What libFuzzer calls with bytes of its making: one parser reads them, the one that the variable `TAPESTRY_FUZZ` names. Errors are the
/// expected answer; a trap, a read outside the bytes (AddressSanitizer) or too much memory ends the run.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    try? Parser.chosen.read(UnsafeRawBufferPointer(start: start, count: count))
    return 0
}
