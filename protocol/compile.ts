/**
 * From the description of a type to its codec: straight-line JavaScript for one version, made with `new Function`.
 *
 * A Produce or Fetch request has a struct for each partition, and closures over closures cost several times as much as
 * what a hand-written decoder does. So a message is compiled as a whole the first time one of its version arrives: one
 * function for each struct and array, field access by name, object literals of one shape. The source is made only of
 * names and numbers that the schema holds, never of anything a peer sent. `test/protocol/interpreter.ts` is a second
 * reading of the same descriptions, slow and plain; tests hold the two against each other.
 */
import { MalformedError, Reader, Writer } from './buffer.ts'

/** A type, as data. */
export type Node =
  | { readonly kind: 'primitive'; readonly method: Primitive }
  | { readonly kind: 'string' | 'bytes'; readonly nullable: boolean }
  | { readonly kind: 'array'; readonly item: Node; readonly nullable: boolean }
  | { readonly kind: 'struct'; readonly fields: readonly FieldNode[] }
  | { readonly kind: 'nullableStruct'; readonly struct: Node }
  /** One type before `version`, another from it on. */
  | {
      readonly kind: 'versioned'
      readonly version: number
      readonly before: Node
      readonly from: Node
    }

export type Primitive =
  | 'boolean'
  | 'int8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'float64'
  | 'uuid'

export interface FieldNode {
  readonly name: string
  readonly type: Node
  readonly since: number
  readonly until: number
  readonly tag: number | null
  /** What is read where the field is absent; what is written where it is left out. */
  readonly otherwise: unknown
  readonly required: boolean
  readonly ignorable: boolean
}

export interface Codec<T, I = T> {
  read(reader: Reader): T
  write(writer: Writer, value: I): void
}

/** Whether a field is on the wire in this version; tagged fields need a flexible one. */
export function isPresent(field: FieldNode, version: number, flexible: boolean): boolean {
  return version >= field.since && version <= field.until && (field.tag === null || flexible)
}

/** Compiles the type for one version. The caller keeps the result: compiling takes far longer than reading. */
export function compile(node: Node, version: number, flexible: boolean): Codec<unknown> {
  const compiler = new Compiler(version, flexible)
  const read = `r => ${compiler.read(node)}`
  const write = `(w, v) => { ${compiler.write(node, 'v', 'the message')} }`
  const source = `'use strict'\n${compiler.source()}\nreturn { read: ${read}, write: ${write} }`
  const make = new Function(...Object.keys(runtime), 'constants', source)
  return make(...Object.values(runtime), compiler.constants) as Codec<unknown>
}

class Compiler {
  readonly constants: unknown[] = []
  private readonly functions: string[] = []
  private readonly version: number
  private readonly flexible: boolean
  private names = 0

  constructor(version: number, flexible: boolean) {
    this.version = version
    this.flexible = flexible
  }

  source(): string {
    const constants = this.constants.map((_, i) => `const c${i} = constants[${i}]`)
    return [...constants, ...this.functions].join('\n')
  }

  /** An expression that reads the type from `r`. */
  read(node: Node): string {
    switch (node.kind) {
      case 'primitive':
        return `r.${node.method}()`
      case 'string':
        return `${node.nullable ? 'readNullableText' : 'readText'}(r, ${this.readLength('int16')})`
      case 'bytes':
        return `${node.nullable ? 'readNullableBytes' : 'readBytes'}(r, ${this.readLength('int32')})`
      case 'array':
        return `${this.arrayReader(node.item, node.nullable)}(r)`
      case 'struct':
        return `${this.structReader(node.fields)}(r)`
      case 'nullableStruct':
        return `(r.int8() < 0 ? null : ${this.read(node.struct)})`
      case 'versioned':
        return this.read(this.version < node.version ? node.before : node.from)
    }
  }

  /** Statements that write the variable `v` to `w`; `label` names the field in complaints. */
  write(node: Node, v: string, label: string): string {
    switch (node.kind) {
      case 'primitive':
        return `w.${node.method}(${v});`
      case 'string':
        return this.writeOrNull(node.nullable, v, label, 'int16', () =>
          this.flexible ? `writeCompactText(w, ${v});` : `writeText(w, ${v});`,
        )
      case 'bytes':
        return this.writeOrNull(
          node.nullable,
          v,
          label,
          'int32',
          () => `${this.writeLength('int32', `${v}.length`)} w.raw(${v});`,
        )
      case 'array':
        return this.writeOrNull(
          node.nullable,
          v,
          label,
          'int32',
          () => `${this.arrayWriter(node.item, label)}(w, ${v});`,
        )
      case 'struct':
        return `${this.structWriter(node.fields)}(w, ${v});`
      case 'nullableStruct':
        return `if (${v} === null) w.int8(-1); else { w.int8(1); ${this.write(node.struct, v, label)} }`
      case 'versioned':
        return this.write(this.version < node.version ? node.before : node.from, v, label)
    }
  }

  /** In a tag, a struct that may be null has an unsigned number before it: 0 null, 1 present. */
  private readTagged(node: Node): string {
    if (node.kind !== 'nullableStruct') return this.read(node)
    return `(r.uvarint() === 0 ? null : ${this.read(node.struct)})`
  }

  private writeTagged(node: Node, label: string): string {
    if (node.kind !== 'nullableStruct') return this.write(node, 'v', label)
    return `if (v === null) w.uvarint(0); else { w.uvarint(1); ${this.write(node.struct, 'v', label)} }`
  }

  private readLength(plain: 'int16' | 'int32'): string {
    return this.flexible ? 'r.uvarint() - 1' : `r.${plain}()`
  }

  private writeLength(plain: 'int16' | 'int32', length: string): string {
    return this.flexible ? `w.uvarint(${length} + 1);` : `w.${plain}(${length});`
  }

  private writeOrNull(
    nullable: boolean,
    v: string,
    label: string,
    plain: 'int16' | 'int32',
    write: () => string,
  ): string {
    const ifNull = nullable ? this.writeLength(plain, '-1') : `refuseNull('${label}');`
    return `if (${v} === null) { ${ifNull} } else { ${write()} }`
  }

  private arrayReader(item: Node, nullable: boolean): string {
    return this.define(
      'r',
      `const n = ${nullable ? 'nullableArrayLength' : 'arrayLength'}(r, ${this.readLength('int32')})
      ${nullable ? 'if (n < 0) return null' : ''}
      // Most arrays of requests have one item, and one that grows takes room for seventeen.
      if (n === 1) return [${this.read(item)}]
      const items = []
      for (let i = 0; i < n; i++) items.push(${this.read(item)})
      return items`,
    )
  }

  private arrayWriter(item: Node, label: string): string {
    return this.define(
      'w, v',
      `const n = v.length
      ${this.writeLength('int32', 'n')}
      for (let i = 0; i < n; i++) { const x = v[i]; ${this.write(item, 'x', label)} }`,
    )
  }

  private structReader(fields: readonly FieldNode[]): string {
    const values = fields.map(field => {
      const onWire = isPresent(field, this.version, this.flexible) && field.tag === null
      return `${fieldName(field)}: ${onWire ? this.read(field.type) : this.literal(field.otherwise)}`
    })
    const literal = `{ ${values.join(', ')} }`
    if (!this.flexible) return this.define('r', `return ${literal}`)
    const tagged = this.tagged(fields)
    if (tagged.length === 0) {
      return this.define('r', `const v = ${literal}; skipTags(r); return v`)
    }
    const cases = tagged.map(field => {
      const read = this.define('r', `return ${this.readTagged(field.type)}`)
      return `case ${field.tag}: v.${field.name} = readTag(r, tag, ${read}); break`
    })
    return this.define(
      'r',
      `const v = ${literal}
      for (let n = r.uvarint(); n > 0; n--) {
        const tag = r.uvarint()
        switch (tag) { ${cases.join('; ')}; default: r.skip(r.uvarint()) }
      }
      return v`,
    )
  }

  private structWriter(fields: readonly FieldNode[]): string {
    const plain = fields.filter(field => field.tag === null || !this.flexible)
    const statements = plain.map(field => this.fieldWriter(field))
    if (this.flexible) statements.push(this.tagsWriter(this.tagged(fields)))
    const early = fields.filter(
      field => field.tag !== null && this.flexible && !isPresent(field, this.version, true),
    )
    statements.push(...early.map(field => this.fieldWriter(field)))
    return this.define('w, v', statements.join('\n'))
  }

  private fieldWriter(field: FieldNode): string {
    const name = fieldName(field)
    const x = this.name('f')
    if (!isPresent(field, this.version, this.flexible)) {
      if (field.ignorable) return ''
      const same = this.sameAsDefault(x, field.otherwise)
      return `const ${x} = v.${name}; if (${x} !== undefined && !(${same})) refuseField('${name}')`
    }
    const ifAbsent = field.required
      ? `refuseAbsent('${name}')`
      : `${x} = ${this.literal(field.otherwise)}`
    const write = this.write(field.type, x, name)
    return `let ${x} = v.${name}; if (${x} === undefined) ${ifAbsent}; ${write}`
  }

  /** The tagged fields of this version, in the order of their tags, which is the order on the wire. */
  private tagged(fields: readonly FieldNode[]): readonly FieldNode[] {
    return fields
      .filter(field => field.tag !== null && isPresent(field, this.version, this.flexible))
      .sort((a, b) => a.tag! - b.tag!)
  }

  private tagsWriter(fields: readonly FieldNode[]): string {
    if (fields.length === 0) return 'w.int8(0)'
    const rows = fields.map(field => ({ field, x: this.name('f'), given: this.name('g') }))
    const tests = rows.map(({ field, x, given }) => {
      const same = this.sameAsDefault(x, field.otherwise)
      return `const ${x} = v.${fieldName(field)}, ${given} = ${x} !== undefined && !(${same})`
    })
    const writes = rows.map(({ field, x, given }) => {
      const write = this.define('w, v', this.writeTagged(field.type, field.name))
      return `if (${given}) writeTag(w, ${field.tag}, ${x}, ${write})`
    })
    const count = rows.map(({ given }) => `(${given} ? 1 : 0)`).join(' + ')
    return [...tests, `w.uvarint(${count})`, ...writes].join('\n')
  }

  private sameAsDefault(x: string, otherwise: unknown): string {
    const literal = this.literal(otherwise)
    if (typeof otherwise !== 'object' || otherwise === null) return `${x} === ${literal}`
    return `isDefault(${x}, ${this.constant(otherwise)})`
  }

  /** A default as source text. Arrays are new each time, because a reader may add to what it got. */
  private literal(value: unknown): string {
    if (Array.isArray(value)) return '[]'
    if (typeof value === 'object' && value !== null) return this.constant(value)
    return typeof value === 'string' ? JSON.stringify(value) : String(value)
  }

  private constant(value: unknown): string {
    const known = this.constants.indexOf(value)
    return `c${known >= 0 ? known : this.constants.push(value) - 1}`
  }

  private define(parameters: string, body: string): string {
    const name = this.name('f')
    this.functions.push(`function ${name}(${parameters}) {\n${body}\n}`)
    return name
  }

  private name(prefix: string): string {
    this.names += 1
    return `${prefix}${this.names}`
  }
}

/** Field names become source text: they are identifiers, or our schema is wrong. */
function fieldName(field: FieldNode): string {
  if (!/^[a-zA-Z]\w*$/.test(field.name)) throw new TypeError(`'${field.name}' is no field name`)
  return field.name
}

/** Whether writing `value` would say nothing that `otherwise` does not. */
export function isDefault(value: unknown, otherwise: unknown): boolean {
  if (value === otherwise) return true
  if (value === null || otherwise === null || typeof value !== 'object') return false
  if (Array.isArray(value) || Buffer.isBuffer(value)) {
    return value.length === 0 && (otherwise as { length: number }).length === 0
  }
  const given = value as Record<string, unknown>
  return Object.entries(otherwise as object).every(
    ([key, inner]) => given[key] === undefined || isDefault(given[key], inner),
  )
}

/** Up to this length a loop in JavaScript is cheaper than a call into Node; its length fits one byte in any form. */
const SHORT_TEXT = 40

/**
 * Array items in one message, those of nested arrays included. An item may take one byte on the wire and forty on the
 * heap: without a limit, one frame of the largest allowed size could exhaust the memory of the process.
 */
export const MAX_ITEMS = 2 ** 22

/** What compiled code calls. */
const runtime = {
  isDefault,

  readText(r: Reader, length: number): string {
    if (length < 0) throw new MalformedError(`string of length ${length}`)
    return r.text(length)
  },

  readNullableText(r: Reader, length: number): string | null {
    if (length >= 0) return r.text(length)
    if (length !== -1) throw new MalformedError(`string of length ${length}`)
    return null
  },

  readBytes(r: Reader, length: number): Buffer {
    if (length < 0) throw new MalformedError(`bytes of length ${length}`)
    return r.view(length)
  },

  readNullableBytes(r: Reader, length: number): Buffer | null {
    if (length >= 0) return r.view(length)
    if (length !== -1) throw new MalformedError(`bytes of length ${length}`)
    return null
  },

  // Every item takes at least a byte, so an array cannot have more items than there are bytes.
  arrayLength(r: Reader, length: number): number {
    if (length < 0 || length > r.remaining) {
      throw new MalformedError(`array of ${length}, ${r.remaining} bytes left`)
    }
    r.items += length
    if (r.items > MAX_ITEMS) throw new MalformedError(`more than ${MAX_ITEMS} array items`)
    return length
  },

  nullableArrayLength(r: Reader, length: number): number {
    return length === -1 ? -1 : runtime.arrayLength(r, length)
  },

  skipTags(r: Reader): void {
    for (let n = r.uvarint(); n > 0; n--) {
      r.uvarint()
      r.skip(r.uvarint())
    }
  },

  readTag(r: Reader, tag: number, read: (inner: Reader) => unknown): unknown {
    const size = r.uvarint()
    const start = r.skip(size)
    const inner = new Reader(r.buffer, start, start + size)
    inner.items = r.items
    const value = read(inner)
    r.items = inner.items
    if (inner.remaining === 0) return value
    throw new MalformedError(`${inner.remaining} bytes too many in tag ${tag}`)
  },

  writeText(w: Writer, value: string): void {
    if (value.length <= SHORT_TEXT) {
      const start = w.position
      w.int16(value.length)
      if (w.ascii(value)) return
      w.position = start
    }
    const length = Buffer.byteLength(value)
    if (length > 0x7fff) throw new TypeError('string longer than 32767 bytes')
    w.int16(length)
    w.text(value)
  },

  writeCompactText(w: Writer, value: string): void {
    if (value.length <= SHORT_TEXT) {
      const start = w.position
      w.int8(value.length + 1)
      if (w.ascii(value)) return
      w.position = start
    }
    w.uvarint(Buffer.byteLength(value) + 1)
    w.text(value)
  },

  writeTag(
    w: Writer,
    tag: number,
    value: unknown,
    write: (inner: Writer, value: unknown) => void,
  ): void {
    const inner = new Writer(64)
    write(inner, value)
    w.uvarint(tag)
    w.uvarint(inner.position)
    w.raw(inner.bytes())
  },

  refuseNull(field: string): never {
    throw new TypeError(`null for ${field}, which may not be null`)
  },

  refuseAbsent(field: string): never {
    throw new TypeError(`field ${field} is missing`)
  },

  refuseField(field: string): never {
    throw new TypeError(`field ${field} does not exist in this version and may not be dropped`)
  },
}
