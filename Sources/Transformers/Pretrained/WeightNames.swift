import CoreTensor

/// The names that a family's weights have in Hugging Face's files, and the modules here that they belong to, in both directions.
///
/// A rule's names may hold `*`, the number of a layer. Where both sides name a module, its `weight` and `bias` follow.
struct WeightNames {
    enum Form {
        /// As it is here.
        case same
        /// A matrix with inputs first (`Conv1D`).
        case transposed
        /// A part of the rows: those from `start` on, `count` of them.
        case rows(start: Int, count: Int)
    }

    struct Rule {
        let ours: [Substring]
        let theirs: [String]
        let form: Form
    }

    private(set) var rules: [Rule] = []
    /// What the names of the base model start with in a checkpoint with a head ("model."), which checkpoints without one lack.
    let basePrefix: String

    init(basePrefix: String = "") { self.basePrefix = basePrefix }

    /// One module or parameter; several of theirs are one here, with their rows one after another.
    mutating func add(_ ours: String, _ theirs: String..., form: Form = .same) {
        rules.append(Rule(ours: ours.split(separator: "."), theirs: theirs, form: form))
    }

    /// Where a parameter of ours comes from.
    struct Source {
        let names: [String]
        let form: Form
    }

    /// Nil if there is no rule for the name.
    func source(of ours: String) -> Source? {
        let parts = ours.split(separator: ".")
        for rule in rules {
            let isModule = parts.count == rule.ours.count + 1
            guard isModule || parts.count == rule.ours.count else { continue }
            var numbers: [Substring] = []
            let fits = zip(rule.ours, parts).allSatisfy { pattern, part in
                if pattern == "*" { numbers.append(part) }
                return pattern == "*" || pattern == part
            }
            guard fits else { continue }
            let leaf = isModule ? ".\(parts.last!)" : ""
            let names = rule.theirs.map { Self.filled($0, numbers) + leaf }
            if case .transposed = rule.form, leaf != ".weight" { return Source(names: names, form: .same) }
            return Source(names: names, form: rule.form)
        }
        return nil
    }

    /// A rule's name with the numbers of layers in place of its stars.
    private static func filled(_ pattern: String, _ numbers: [Substring]) -> String {
        var result = "", next = numbers.makeIterator()
        for scalar in pattern.unicodeScalars {
            if scalar == "*" { result += next.next() ?? "" } else { result.unicodeScalars.append(scalar) }
        }
        return result
    }

    /// Tensors of ours (weights, or their gradients) under Hugging Face's names and in its layouts.
    func exported(_ tensors: [String: Tensor]) -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        var parts: [String: [(start: Int, rows: Tensor)]] = [:]
        for (name, tensor) in tensors {
            guard let source = source(of: name) else { fail("WeightNames", "there is no rule for \(name)") }
            switch source.form {
            case .same:
                if source.names.count == 1 {
                    result[source.names[0]] = tensor
                } else {
                    for (name, rows) in zip(source.names, tensor.chunked(source.names.count)) { result[name] = rows }
                }
            case .transposed: result[source.names[0]] = tensor.transposed()
            case .rows(let start, _): parts[source.names[0], default: []].append((start, tensor))
            }
        }
        for (name, rows) in parts { result[name] = concatenate(rows.sorted { $0.start < $1.start }.map(\.rows)) }
        return result
    }
}
