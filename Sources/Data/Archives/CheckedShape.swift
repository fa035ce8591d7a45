/// The number of elements of a shape read from a file; nil if it, or the stride of an axis beside an empty one, has no place in `Int`.
func checkedCount(_ shape: [Int]) -> Int? {
    var product = 1
    for size in shape {
        if size < 0 { return nil }
        let (next, overflow) = product.multipliedReportingOverflow(by: max(size, 1))
        // Complex numbers take 16 bytes an element.
        if overflow || next > Int.max / 16 { return nil }
        product = next
    }
    return shape.contains(0) ? 0 : product
}
