/**
 * The small text files of a data directory, each replaced as a whole:
 *
 *   recovery-point-offset-checkpoint, log-start-offset-checkpoint, replication-offset-checkpoint (high watermarks),
 *   cleaner-offset-checkpoint:
 *     0                      version
 *     2                      number of lines that follow
 *     orders 0 1130          topic, partition, offset
 *     orders 1 998
 *   meta.properties          version=1, cluster.id=…, node.id=…, directory.id=…; `#` begins a remark
 *   partition.metadata       version: 0 / topic_id: … (in each log's own directory)
 */
import { MalformedError } from '../protocol/buffer.ts'

export const RECOVERY_POINTS = 'recovery-point-offset-checkpoint'
export const LOG_START_OFFSETS = 'log-start-offset-checkpoint'
export const CLEANED_OFFSETS = 'cleaner-offset-checkpoint'
export const HIGH_WATERMARKS = 'replication-offset-checkpoint'
export const LEADER_EPOCHS = 'leader-epoch-checkpoint'
export const META_PROPERTIES = 'meta.properties'
export const PARTITION_METADATA = 'partition.metadata'

/** The fields of a versioned, counted text file. An empty file has no lines: Kafka creates it before it writes it. */
export function parseLines(bytes: Buffer, fields: number): string[][] {
  const text = bytes.toString('utf8')
  if (text.trim() === '') return []
  const lines = text.split('\n').map(line => line.trim())
  while (lines.at(-1) === '') lines.pop()
  if (lines[0] !== '0') throw new MalformedError(`checkpoint version '${lines[0]}'`)
  const rows = lines.slice(2).map(line => line.split(/\s+/))
  if (Number(lines[1]) !== rows.length) {
    throw new MalformedError(`checkpoint announces ${lines[1]} lines, has ${rows.length}`)
  }
  for (const row of rows) {
    const numbers = row.slice(-2).map(Number)
    if (row.length !== fields || !numbers.every(Number.isSafeInteger)) {
      throw new MalformedError(`checkpoint line '${row.join(' ')}'`)
    }
  }
  return rows
}

/** Offsets by `topic-partition`, the name of the log's directory. */
export type Offsets = Map<string, number>

export function parseOffsets(bytes: Buffer): Offsets {
  const offsets: Offsets = new Map()
  for (const [topic, partition, offset] of parseLines(bytes, 3)) {
    offsets.set(`${topic}-${partition}`, Number(offset))
  }
  return offsets
}

export function encodeOffsets(offsets: Offsets): Buffer {
  let text = `0\n${offsets.size}\n`
  for (const [name, offset] of offsets) {
    const dash = name.lastIndexOf('-')
    text += `${name.slice(0, dash)} ${name.slice(dash + 1)} ${offset}\n`
  }
  return Buffer.from(text)
}

export interface MetaProperties {
  readonly clusterId: string
  readonly nodeId: number
  readonly directoryId: string
}

export function parseMetaProperties(bytes: Buffer): MetaProperties {
  const values = new Map<string, string>()
  for (const line of bytes.toString('utf8').split('\n')) {
    const match = /^\s*([^#!=:\s]+)\s*[=:]\s*(.*?)\s*$/.exec(line)
    if (match !== null) values.set(match[1]!, match[2]!)
  }
  const version = values.get('version')
  const nodeId = Number(values.get('node.id') ?? values.get('broker.id'))
  const clusterId = values.get('cluster.id')
  if (version !== '1' && version !== '0')
    throw new MalformedError(`meta.properties version ${version}`)
  if (clusterId === undefined) throw new MalformedError('meta.properties without cluster.id')
  if (!Number.isInteger(nodeId)) throw new MalformedError('meta.properties without node.id')
  return { clusterId, nodeId, directoryId: values.get('directory.id') ?? '' }
}

export function encodeMetaProperties(properties: MetaProperties): Buffer {
  const { clusterId, nodeId, directoryId } = properties
  return Buffer.from(
    `version=1\ncluster.id=${clusterId}\nnode.id=${nodeId}\ndirectory.id=${directoryId}\n`,
  )
}

/** The topic id in Kafka's text form. */
export function parsePartitionMetadata(bytes: Buffer): string {
  const match = /^version: 0\ntopic_id: ([A-Za-z0-9_-]{22})\s*$/.exec(bytes.toString('utf8'))
  if (match === null) throw new MalformedError('partition.metadata cannot be read')
  return match[1]!
}

export function encodePartitionMetadata(topicId: string): Buffer {
  return Buffer.from(`version: 0\ntopic_id: ${topicId}`)
}
