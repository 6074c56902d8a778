/** A result as text for a terminal. */
import { table } from '../cli/topic-tables.ts'
import { FINDINGS_MAX, type Finding } from './findings.ts'
import type { Percentiles } from './latency.ts'
import type { BenchResult, PhaseResult } from './result.ts'

export function resultText(result: BenchResult): string {
  const { workload, machine, cluster, label, isPartial } = result
  const parts = [
    `${workload.name} on ${label}${isPartial ? ' (interrupted: of the part that was run)' : ''}`,
    `${cluster}; client on ${machine.cores} × ${machine.cpu}, Node ${machine.node}`,
    '',
    ...(result.phases.length === 0
      ? [`${NOTHING_MEASURED}\n`]
      : [throughputTable(result.phases), latencyTable(result.phases)]),
    checksText(result),
    ...findingTexts(result),
    ...notesOf(result),
  ]
  return `${parts.join('\n').trimEnd()}\n`
}

export const NOTHING_MEASURED = 'It ended in the warm-up: nothing was measured.'

/** What else there is to say: errors, and what the limit was. */
export function notesOf({ errors, saturation }: BenchResult): string[] {
  return [...errors.map(([reason, count]) => `${grouped(count)} × ${reason}`), ...saturation]
}

function throughputTable(phases: readonly PhaseResult[]): string {
  const head = [
    'STEP',
    'RATE',
    'ACKED/S',
    'READ/S',
    'MB/S',
    'FAILED',
    'CPU s/M',
    'RSS MiB',
    'CLIENT s/M',
  ]
  return table(
    head,
    phases.map(phase => [
      phase.name,
      phase.targetRate === 'max' ? 'max' : grouped(phase.targetRate),
      grouped(phase.ackedPerSecond),
      grouped(phase.receivedPerSecond),
      (phase.receivedBytesPerSecond / 1e6).toFixed(1),
      phase.failed,
      phase.brokerCpuPerMillion?.toFixed(2) ?? '?',
      phase.brokerRssBytes === null ? '?' : (phase.brokerRssBytes / 2 ** 20).toFixed(0),
      phase.clientCpuPerMillion?.toFixed(2) ?? '?',
    ]),
  )
}

function latencyTable(phases: readonly PhaseResult[]): string {
  const head = ['STEP', 'LATENCY ms', 'MEAN', 'P50', 'P90', 'P99', 'P99.9', 'P99.99', 'MAX']
  const rows = phases.flatMap(({ name, produce, endToEnd, late }) => [
    ...latencyRow(name, 'produce', produce),
    ...latencyRow(name, 'end to end', endToEnd),
    ...latencyRow(name, 'sent late', late),
  ])
  return table(head, rows)
}

function latencyRow(step: string, what: string, percentiles: Percentiles | null) {
  if (percentiles === null) return []
  const { meanMs, p50Ms, p90Ms, p99Ms, p999Ms, p9999Ms, maxMs } = percentiles
  return [[step, what, ...[meanMs, p50Ms, p90Ms, p99Ms, p999Ms, p9999Ms, maxMs].map(shownMs)]]
}

/** Three digits that mean something. */
export function shownMs(ms: number): string {
  return ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2)
}

export function grouped(number: number): string {
  return Math.round(number).toLocaleString('en-US')
}

const SECONDS_SHOWN = 10

export function checksText({ checks, workload, rebalances }: BenchResult): string {
  if (workload.groups === 0) return 'Records were not read, so they were not checked.'
  const { lost, duplicated, reordered, corrupt, reread } = checks
  const both = corrupt === 0 ? '' : ' A damaged record is not known to have come: it is lost, too.'
  const counts = `Records: ${lost} lost, ${duplicated} twice, ${reordered} out of order, ${corrupt} damaged.${both}`
  if (rebalances.length === 0) return counts
  const seconds = [...new Set(rebalances.map(({ second }) => second))]
  const shown = seconds.slice(0, SECONDS_SHOWN).join(', ')
  const more = seconds.length > SECONDS_SHOWN ? ', …' : ''
  const what = rebalances.length === 1 ? '1 rebalance' : `${rebalances.length} rebalances`
  return `${counts} ${what}, at second ${shown}${more}: ${reread} read again by whoever took over.`
}

/** A sentence for each fault of which the place is known: what it is, and where. */
export function findingTexts({ findings, workload }: BenchResult): string[] {
  const texts = findings.map(finding => findingText(finding, workload.groups))
  if (findings.length < FINDINGS_MAX) return texts
  return [...texts, `These are the first ${FINDINGS_MAX}.`]
}

function findingText(finding: Finding, groups: number): string {
  const { kind, group, topic, partition, offset, producer, sequence, records } = finding
  const before = kind === 'lost' ? 'before ' : ''
  const place = offset === null ? '' : `, ${before}offset ${offset}`
  const reader = groups > 1 ? `, read by group ${group}` : ''
  const record =
    records === 1
      ? `record ${sequence} of producer ${producer}`
      : `records ${sequence} to ${sequence! + records - 1} of producer ${producer}`
  const what = {
    lost: ['Lost', `${record} ${records === 1 ? 'was' : 'were'} acknowledged and never read`],
    duplicated: ['Twice', `${record} had been there before`],
    reordered: ['Out of order', `${record} comes after a later one`],
    corrupt: ['Damaged', 'the value is not what this run has written'],
    reread: ['Twice', 'this place of the log was handed out twice'],
  }[kind]
  return `${what[0]}: topic ${topic}, partition ${partition}${place}${reader}: ${what[1]}.`
}
