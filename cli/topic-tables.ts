/** Tables for the terminal: no frame, so that they can be cut and searched by other tools. */
import Table from 'cli-table3'
import type { TopicListing } from '../client/admin.ts'

type Cell = string | number

const NO_FRAME = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
}

/** Numbers go to the right edge of their column. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const isNumber = head.map((_, column) => rows.every(row => typeof row[column] === 'number'))
  const built = new Table({
    head: [...head],
    chars: NO_FRAME,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colAligns: isNumber.map(right => (right && rows.length > 0 ? 'right' : 'left')),
  })
  for (const row of rows) built.push([...row])
  return `${built.toString().replace(/ +$/gm, '')}\n`
}

export function listTable(topics: readonly TopicListing[]): string {
  if (topics.length === 0) return 'There are no topics.\n'
  const rows = topics.map(topic => [
    topic.name,
    topic.partitions,
    topic.replicationFactor,
    topic.isInternal ? 'internal' : '',
  ])
  return table(['TOPIC', 'PARTITIONS', 'REPLICAS', ''], rows)
}
