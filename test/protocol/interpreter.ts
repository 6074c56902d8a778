/**
 * A second reading of the schema's descriptions: the rules written down plainly, one step after the other, with no regard
 * to speed. Compiled codecs (protocol/compile.ts) are held against it.
 */
import { MalformedError, Reader, Writer } from '../../protocol/buffer.ts'
import { type Codec, type FieldNode, isDefault, type Node } from '../../protocol/compile.ts'
import type { Type } from '../../protocol/schema.ts'

type Value = Record<string, unknown>

/** The codec of one version of a type, interpreted. */
export function interpreted<T, I>(
  type: Type<T, I>,
  version: number,
  flexible: boolean,
): Codec<T, I> {
  const interpreter = new Interpreter(version, flexible)
  return {
    read: reader => interpreter.read(type.node, reader) as T,
    write: (writer, value) => interpreter.write(type.node, writer, value),
  }
}

class Interpreter {
  private readonly version: number
  private readonly flexible: boolean

  constructor(version: number, flexible: boolean) {
    this.version = version
    this.flexible = flexible
  }

  read(node: Node, r: Reader): unknown {
    switch (node.kind) {
      case 'primitive':
        return r[node.method]()
      case 'string': {
        const length = this.readLength(r, 'int16', node.nullable)
        return length < 0 ? null : r.text(length)
      }
      case 'bytes': {
        const length = this.readLength(r, 'int32', node.nullable)
        return length < 0 ? null : r.view(length)
      }
      case 'array': {
        const length = this.readLength(r, 'int32', node.nullable)
        if (length > r.remaining) throw new MalformedError(`array of ${length}`)
        return length < 0 ? null : Array.from({ length }, () => this.read(node.item, r))
      }
      case 'struct':
        return this.readStruct(node.fields, r)
      case 'nullableStruct':
        return r.int8() < 0 ? null : this.read(node.struct, r)
      case 'versioned':
        return this.read(this.version < node.version ? node.before : node.from, r)
    }
  }

  write(node: Node, w: Writer, value: unknown): void {
    switch (node.kind) {
      case 'primitive':
        return (w[node.method] as (value: unknown) => void).call(w, value)
      case 'string': {
        const length = value === null ? -1 : Buffer.byteLength(value as string)
        this.writeLength(w, 'int16', node.nullable, length)
        return length < 0 ? undefined : w.text(value as string)
      }
      case 'bytes': {
        this.writeLength(w, 'int32', node.nullable, value === null ? -1 : (value as Buffer).length)
        return value === null ? undefined : w.raw(value as Buffer)
      }
      case 'array': {
        const items = value as readonly unknown[] | null
        this.writeLength(w, 'int32', node.nullable, items === null ? -1 : items.length)
        return items?.forEach(item => void this.write(node.item, w, item))
      }
      case 'struct':
        return this.writeStruct(node.fields, w, value as Value)
      case 'nullableStruct':
        w.int8(value === null ? -1 : 1)
        return value === null ? undefined : this.write(node.struct, w, value)
      case 'versioned':
        return this.write(this.version < node.version ? node.before : node.from, w, value)
    }
  }

  private readLength(r: Reader, plain: 'int16' | 'int32', nullable: boolean): number {
    const length = this.flexible ? r.uvarint() - 1 : r[plain]()
    if (length >= (nullable ? -1 : 0)) return length
    throw new MalformedError(`length ${length}`)
  }

  private writeLength(
    w: Writer,
    plain: 'int16' | 'int32',
    nullable: boolean,
    length: number,
  ): void {
    if (length < 0 && !nullable) throw new TypeError('null')
    if (this.flexible) return w.uvarint(length + 1)
    if (plain === 'int16' && length > 32767) throw new TypeError('too long')
    w[plain](length)
  }

  private has(field: FieldNode): boolean {
    if (field.tag !== null && !this.flexible) return false
    return this.version >= field.since && this.version <= field.until
  }

  private readStruct(fields: readonly FieldNode[], r: Reader): Value {
    const value: Value = {}
    for (const field of fields) {
      const onWire = this.has(field) && field.tag === null
      value[field.name] = onWire ? this.read(field.type, r) : field.otherwise
    }
    const tags = this.flexible ? r.uvarint() : 0
    for (let i = 0; i < tags; i++) {
      const tag = r.uvarint()
      const inner = new Reader(r.view(r.uvarint()))
      const field = fields.find(f => f.tag === tag && this.has(f))
      if (field === undefined) continue
      const { type } = field
      const isNull = type.kind === 'nullableStruct' && inner.uvarint() === 0
      const present = type.kind === 'nullableStruct' ? type.struct : type
      value[field.name] = isNull ? null : this.read(present, inner)
      if (inner.remaining > 0) throw new MalformedError('bytes left over')
    }
    return value
  }

  private writeStruct(fields: readonly FieldNode[], w: Writer, value: Value): void {
    for (const field of fields) {
      const given = value[field.name]
      if (!this.has(field)) {
        const droppable = given === undefined || field.ignorable
        if (!droppable && !isDefault(given, field.otherwise)) throw new TypeError('may not drop')
      } else if (field.tag === null) {
        if (given === undefined && field.required) throw new TypeError('missing')
        this.write(field.type, w, given === undefined ? field.otherwise : given)
      }
    }
    if (this.flexible) this.writeTags(fields, w, value)
  }

  private writeTags(fields: readonly FieldNode[], w: Writer, value: Value): void {
    const given = fields
      .filter(f => f.tag !== null && this.has(f) && value[f.name] !== undefined)
      .filter(f => !isDefault(value[f.name], f.otherwise))
      .sort((a, b) => a.tag! - b.tag!)
    w.uvarint(given.length)
    for (const field of given) {
      const inner = new Writer()
      const { type } = field
      if (type.kind !== 'nullableStruct') this.write(type, inner, value[field.name])
      else {
        inner.uvarint(value[field.name] === null ? 0 : 1)
        if (value[field.name] !== null) this.write(type.struct, inner, value[field.name])
      }
      w.uvarint(field.tag!)
      w.uvarint(inner.position)
      w.raw(inner.bytes())
    }
  }
}
