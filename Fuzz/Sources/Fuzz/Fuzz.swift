import Foundation

@testable import Data

/// What libFuzzer calls with bytes of its making: one parser reads them, the one that the variable `TAPESTRY_FUZZ` names. Errors are the
/// expected answer; a trap, a read outside the bytes (AddressSanitizer) or too much memory ends the run.
private func read(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    try? Parser.chosen.read(UnsafeRawBufferPointer(start: start, count: count))
    return 0
}

/// libFuzzer's own beginning, as the package manager names the program's another way than libFuzzer.
@_silgen_name("LLVMFuzzerRunDriver")
private func run(
    _ count: UnsafeMutablePointer<CInt>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
    _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// The program's beginning.
@_cdecl("Fuzz_main")
public func start(_ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> CInt {
    var count = count, arguments = arguments
    return run(&count, &arguments) { read($0, $1) }
}
