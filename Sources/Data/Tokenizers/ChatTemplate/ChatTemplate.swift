/// How a conversation becomes the text that an instruct model was trained on: the Jinja template that comes with its tokenizer,
/// interpreted safely.
///
/// Templates are programs from outside. This interpreter has the subset that published templates use (`for`, `if`, `set`, macros,
/// filters, tests, methods of text and dictionaries), sees only the values it is given, and stops a template that takes too many steps
/// or makes too much text.
public struct ChatTemplate: Sendable {
    /// One turn.
    public struct Message: Sendable {
        /// "system", "user", "assistant", "tool" …
        public var role: String
        /// What was said.
        public var content: String
        /// Further names that some templates look at (`tool_calls`, `name` …).
        public var extra: [(name: String, value: TemplateValue)]

        /// A turn of a role.
        public init(role: String, content: String, extra: [(name: String, value: TemplateValue)] = []) {
            self.role = role
            self.content = content
            self.extra = extra
        }
    }

    private let nodes: [TemplateNode]

    /// Reads a template. Throws ``TemplateError`` for what is not in the subset.
    public init(_ source: String) throws { nodes = try TemplateParser.parse(source) }

    /// The text of a conversation.
    ///
    /// - Parameters:
    ///   - messages: The turns so far.
    ///   - addGenerationPrompt: Whether the text ends with the beginning of the assistant's answer.
    ///   - values: What else the template may use: `bos_token`, `eos_token`, `tools` …
    ///
    /// Throws ``TemplateError``: the template's own objections (`raise_exception`), or a limit.
    public func render(
        _ messages: [Message], addGenerationPrompt: Bool = true, values: [(name: String, value: TemplateValue)] = []
    ) throws -> String {
        let list = messages.map { message in
            TemplateValue.dictionary(
                [(name: "role", value: .string(message.role)), (name: "content", value: .string(message.content))] + message.extra
            )
        }
        var interpreter = TemplateInterpreter(
            [(name: "messages", value: .list(list)), (name: "add_generation_prompt", value: .bool(addGenerationPrompt))] + values)
        return try interpreter.run(nodes)
    }
}

extension PretrainedTokenizer {
    /// The text of a conversation by the tokenizer's own ``chatTemplate``, to be encoded without adding special tokens: they are in it.
    /// Throws ``TokenizerError`` if there is no template, ``TemplateError`` as ``ChatTemplate/render(_:addGenerationPrompt:values:)``
    /// does.
    public func chatText(
        _ messages: [ChatTemplate.Message], addGenerationPrompt: Bool = true, values: [(name: String, value: TemplateValue)] = []
    ) throws -> String {
        guard let chatTemplate else { throw TokenizerError("the tokenizer has no chat template") }
        var values = values
        for (name, id) in [
            ("bos_token", specialTokens.beginningOfText), ("eos_token", specialTokens.endOfText),
            ("pad_token", specialTokens.padding),
            ("unk_token", specialTokens.unknown),
        ] {
            if let text = id.flatMap({ token($0) }), !values.contains(where: { $0.name == name }) {
                values.append((name, .string(text)))
            }
        }
        return try ChatTemplate(chatTemplate).render(messages, addGenerationPrompt: addGenerationPrompt, values: values)
    }
}
