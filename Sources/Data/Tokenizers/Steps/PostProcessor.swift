/// What is put around the tokens of a text, or of two: the `post_processor` of a `tokenizer.json`.
struct PostProcessor: Sendable {
    enum Piece: Sendable {
        case special(ids: [Int], type: Int)
        case first(type: Int)
        case second(type: Int)
    }

    var single: [Piece] = [.first(type: 0)]
    var pair: [Piece] = [.first(type: 0), .second(type: 1)]

    /// The ids, and which of the texts they belong to (`token_type_ids`).
    func apply(_ first: [Int], _ second: [Int]? = nil) -> (ids: [Int], types: [Int]) {
        var ids: [Int] = [], types: [Int] = []
        for piece in second == nil ? single : pair {
            let (added, type): ([Int], Int) =
                switch piece {
                case .special(let ids, let type): (ids, type)
                case .first(let type): (first, type)
                case .second(let type): (second ?? [], type)
                }
            ids += added
            types += [Int](repeating: type, count: added.count)
        }
        return (ids, types)
    }

    /// One after the other: the outer one's texts are what the inner one gives.
    func inside(_ outer: PostProcessor) -> PostProcessor {
        func put(_ list: [Piece]) -> [Piece] {
            list.flatMap { piece -> [Piece] in
                if case .first = piece { return single }
                return [piece]
            }
        }
        return PostProcessor(single: put(outer.single), pair: pair.count > 2 ? pair : outer.pair)
    }
}
