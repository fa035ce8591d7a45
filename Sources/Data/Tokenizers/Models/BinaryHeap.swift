/// A binary heap whose least element comes first.
struct BinaryHeap<Element: Comparable> {
    private var elements: [Element] = []

    init() {}

    mutating func removeAll() { elements.removeAll(keepingCapacity: true) }

    mutating func push(_ element: Element) {
        elements.append(element)
        var child = elements.count - 1
        while child > 0, case let parent = (child - 1) / 2, elements[child] < elements[parent] {
            elements.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> Element? {
        guard let top = elements.first else { return nil }
        let last = elements.removeLast()
        if elements.isEmpty { return top }
        elements[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            if child >= elements.count { return top }
            if child + 1 < elements.count && elements[child + 1] < elements[child] { child += 1 }
            if !(elements[child] < elements[parent]) { return top }
            elements.swapAt(child, parent)
            parent = child
        }
    }
}
