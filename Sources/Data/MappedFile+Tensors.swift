import CoreTensor

extension MappedFile {
    /// A tensor that sees bytes of the file (a copy if they are not aligned for its type). The range must be in the file and as long as
    /// shape and type say.
    func tensor(_ range: Range<Int>, _ shape: [Int], _ dtype: DType) -> Tensor {
        let layout = Layout(shape: shape)
        let start = bytes.baseAddress! + range.lowerBound
        if dtype == .bool {
            // Any byte other than 0 is true; in memory it must be 1.
            let flags = UnsafeRawBufferPointer(start: start, count: layout.count)
            if flags.contains(where: { $0 > 1 }) { return Tensor(flags.map { $0 != 0 }, shape: shape) }
        }
        if Int(bitPattern: start) % dtype.byteCount == 0 {
            let storage = Storage(readOnly: start, byteCount: range.count, owner: self)
            return Tensor(raw: RawTensor(storage: storage, layout: layout, offset: 0, dtype: dtype))
        }
        let copy = RawTensor(layout, dtype)
        if range.count > 0 { copy.pointer.copyMemory(from: start, byteCount: range.count) }
        return Tensor(raw: copy)
    }
}

extension UnsafeRawBufferPointer {
    /// Integers of a type that tensors lack, in the next larger one: 16 bits as int32, 32 unsigned bits as int64. Big-endian numbers
    /// are turned round.
    func widened<T: FixedWidthInteger>(_ range: Range<Int>, _ shape: [Int], _ type: T.Type, bigEndian: Bool = false) -> Tensor {
        let count = range.count / MemoryLayout<T>.size
        let result = RawTensor(Layout(shape: shape), MemoryLayout<T>.size == 2 ? .int32 : .int64)
        for i in 0..<count {
            let stored = loadUnaligned(fromByteOffset: range.lowerBound + i * MemoryLayout<T>.size, as: T.self)
            let value = bigEndian ? T(bigEndian: stored) : T(littleEndian: stored)
            if MemoryLayout<T>.size == 2 {
                result.pointer.storeBytes(of: Int32(value), toByteOffset: 4 * i, as: Int32.self)
            } else {
                // Values above Int64.max were refused before.
                result.pointer.storeBytes(of: Int64(truncatingIfNeeded: value), toByteOffset: 8 * i, as: Int64.self)
            }
        }
        return Tensor(raw: result)
    }
}
