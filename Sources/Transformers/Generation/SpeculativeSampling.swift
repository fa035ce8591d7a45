import CoreTensor

import func Foundation.log

/// How speculative decoding went.
public struct SpeculativeStatistics: Sendable, Equatable {
    /// Forward passes of the target model, the reading of the prompt included.
    public internal(set) var targetPasses = 0
    /// Tokens the draft model proposed.
    public internal(set) var proposed = 0
    /// Those the target model took over.
    public internal(set) var accepted = 0
    /// Tokens given.
    public internal(set) var generated = 0

    /// The share of proposals taken over; 0 without any.
    public var acceptanceRate: Double { proposed == 0 ? 0 : Double(accepted) / Double(proposed) }
    /// Tokens for each forward pass of the target model.
    public var tokensPerPass: Double { targetPasses == 0 ? 0 : Double(generated) / Double(targetPasses) }
}

/// The rule of speculative sampling (Leviathan et al., 2023; Chen et al., 2023): a token drawn from q becomes one drawn from p.
enum SpeculativeSampling {
    /// Whether a token that was drawn from q is taken over: with probability min(1, p / q). `u` is uniform in 0 ..< 1.
    static func accepts(p: Double, q: Double, u: Double) -> Bool { u * q < p }

    /// What is drawn in place of a refused token: from max(p - q, 0), normalised.
    static func residual(_ p: [Double], _ q: [Double]) -> [Double] { zip(p, q).map { Swift.max($0 - $1, 0) } }

    /// A position with probability proportional to `weights`, by inversion of the running sum at `u` in 0 ..< 1.
    static func draw(_ weights: [Double], u: Double) -> Int {
        let target = u * weights.reduce(0, +)
        var sum = 0.0, last = 0
        for (index, weight) in weights.enumerated() where weight > 0 {
            sum += weight
            last = index
            if sum > target { break }
        }
        return last
    }
}

/// Continues a prompt with a target model, a small draft model running ahead: the draft proposes some tokens, one pass of the target judges them all.
/// The tokens are distributed as the target's own (Leviathan et al., 2023), and equal its own for greedy choice.
///
/// ```swift
/// var tokens = SpeculativeGenerator(target: large, draft: small, prompt: ids, options: .greedy())
/// for token in tokens.all() { … }
/// print(tokens.statistics.acceptanceRate)
/// ```
public struct SpeculativeGenerator: IteratorProtocol {
    /// How it went so far.
    public private(set) var statistics = SpeculativeStatistics()
    /// The prompt and what was generated.
    public private(set) var tokens: [Int]
    /// Why there are no more tokens; nil while there may be.
    public private(set) var finishReason: FinishReason?

    private let target, draft: any CausalLanguageModel
    private let options: GenerationOptions
    private let ahead: Int
    private let promptLength: Int
    private let constraints, filters: [any LogitsProcessor]
    private let generator: RandomGenerator
    private var targetCache, draftCache: KVCache
    // Chosen and not yet given.
    private var pending: [GeneratedToken] = []

    /// Traps as ``TokenGenerator`` does, and unless both models have the same vocabulary and `ahead` is at least 1.
    /// - Parameter ahead: tokens the draft proposes at a time.
    public init(
        target: any CausalLanguageModel, draft: any CausalLanguageModel, prompt: [Int],
        options: GenerationOptions = GenerationOptions(), ahead: Int = 4
    ) {
        if let problem = options.problem ?? target.problem(withPrompt: prompt) ?? draft.problem(withPrompt: prompt) {
            fail("SpeculativeGenerator", problem)
        }
        if target.vocabulary != draft.vocabulary {
            fail("SpeculativeGenerator", "vocabularies of \(target.vocabulary) and \(draft.vocabulary); they must be the same")
        }
        if ahead < 1 { fail("SpeculativeGenerator", "\(ahead) tokens ahead; needs at least 1") }
        (self.target, self.draft, self.options, self.ahead) = (target, draft, options, ahead)
        tokens = prompt
        promptLength = prompt.count
        constraints = options.constraints(promptLength: prompt.count)
        filters = options.filters
        generator = RandomGenerator(seed: options.seed)
        targetCache = target.makeCache(capacity: nil)
        draftCache = draft.makeCache(capacity: nil)
    }

    /// The next token, or nil after the last.
    public mutating func next() -> GeneratedToken? {
        if pending.isEmpty && finishReason == nil { pending = round() }
        if pending.isEmpty { return nil }
        return pending.removeFirst()
    }

    /// All tokens that are left.
    public mutating func all() -> [GeneratedToken] {
        var all: [GeneratedToken] = []
        while let token = next() { all.append(token) }
        return all
    }

    /// Proposes and judges; gives at least one token unless there is no room for one.
    private mutating func round() -> [GeneratedToken] {
        let room = Swift.min(options.maximumTokens - (tokens.count - promptLength), target.context - tokens.count + 1)
        if room <= 0 {
            finishReason = .length
            return []
        }
        let start = tokens.count
        var proposals: [Int] = [], draftDistributions: [[Double]] = []
        for _ in 0..<Swift.max(Swift.min(ahead, room - 1, draft.context - start + 1), 0) {
            let sofar = tokens + proposals
            let logits = draft.logits(after: sofar[draftCache.length...], &draftCache, chunk: options.prefillChunk)
            let q = distribution(logits, after: sofar)
            proposals.append(choose(q))
            draftDistributions.append(q)
        }
        let judged = targetLogits(proposals)
        var chosen: [GeneratedToken] = []
        for position in 0...proposals.count {
            let p = distribution(judged.narrowed(axis: 0, start: position, length: 1), after: tokens)
            var token: Int
            if position == proposals.count {
                token = choose(p)
            } else {
                token = proposals[position]
                let q = draftDistributions[position]
                if !SpeculativeSampling.accepts(p: p[token], q: q[token], u: uniform()) {
                    let rest = SpeculativeSampling.residual(p, q)
                    token = rest.contains { $0 > 0 } ? SpeculativeSampling.draw(rest, u: uniform()) : choose(p)
                    chosen.append(GeneratedToken(id: token, logProbability: Foundation.log(p[token])))
                    tokens.append(token)
                    break
                }
                statistics.accepted += 1
            }
            chosen.append(GeneratedToken(id: token, logProbability: Foundation.log(p[token])))
            tokens.append(token)
            if options.stopTokens.contains(token) { break }
        }
        if options.stopTokens.contains(tokens.last!) { finishReason = .stop }
        statistics.proposed += proposals.count
        statistics.generated += chosen.count
        // What was read of refused proposals is forgotten; the last token is read in the next round.
        targetCache.truncate(to: Swift.min(targetCache.length, tokens.count - 1))
        draftCache.truncate(to: Swift.min(draftCache.length, tokens.count - 1))
        return chosen
    }

    /// Logits `[proposals + 1, vocabulary]` after the tokens so far and after each proposal, in one pass.
    private mutating func targetLogits(_ proposals: [Int]) -> Tensor {
        let unread = tokens.count - 1 - targetCache.length
        if unread > 0 {
            // The prompt but for its last token.
            _ = target.logits(after: tokens[targetCache.length..<tokens.count - 1], &targetCache, chunk: options.prefillChunk)
            statistics.targetPasses += (unread + options.prefillChunk - 1) / options.prefillChunk
        }
        statistics.targetPasses += 1
        let ids = [tokens.last!] + proposals
        return target.evaluating {
            target(Tensor(ids, shape: [1, ids.count], device: target.device), cache: &targetCache, lastOnly: false)
                .reshaped([ids.count, target.vocabulary]).to(.float64)
        }
    }

    /// What the next token is drawn from, `[vocabulary]` probabilities; all on one token for greedy choice.
    private func distribution(_ logits: Tensor, after tokens: [Int]) -> [Double] {
        let scores = constraints(logits.to(.float64), after: [tokens])
        if options.temperature == 0 {
            var one = [Double](repeating: 0, count: scores.count)
            one[scores.argmax().item(Int.self)] = 1
            return one
        }
        return softmax(filters(scores, after: [tokens])).scalars(Double.self)
    }

    private func choose(_ p: [Double]) -> Int { SpeculativeSampling.draw(p, u: uniform()) }

    private func uniform() -> Double { Tensor(uniform: [1], dtype: .float64, generator: generator).item(Double.self) }
}
