/**
 * The metrics of consumer groups. Names of series are those of kafka_exporter where it has them. Group ids are made up by
 * clients, so the series of one scrape are bounded: groups beyond the bound are counted in the totals only.
 */
import type { LabelledGroup, MetricFamily, Sample, Snapshot } from './metric-families.ts'

/** Partitions of groups that one scrape shows. */
export const MAX_GROUP_SERIES = 20_000

/** The groups of a scrape with their labels made, up to the bound. */
export function labelledGroups(snapshot: Pick<Snapshot, 'sources'>): readonly LabelledGroup[] {
  const labelled: LabelledGroup[] = []
  let room = MAX_GROUP_SERIES
  for (const { groupId, state, members, lags } of snapshot.sources?.groups() ?? []) {
    const partitions: LabelledGroup['partitions'][number][] = []
    if (room > 0) room--
    else {
      labelled.push({ labels: null, state, members, partitions })
      continue
    }
    for (const lag of lags) {
      if (room-- <= 0) break
      const { topic, partition } = lag
      partitions.push({ labels: { consumergroup: groupId, topic, partition }, lag })
    }
    labelled.push({ labels: { consumergroup: groupId }, state, members, partitions })
  }
  return labelled
}

function partitionFamily(
  name: string,
  help: string,
  value: (lag: LabelledGroup['partitions'][number]['lag']) => number,
): MetricFamily {
  return {
    name,
    type: 'gauge',
    labels: ['consumergroup', 'topic', 'partition'],
    help,
    collect: ({ groups }) =>
      groups.flatMap(({ partitions }) =>
        partitions.map(({ labels, lag }): Sample => ({ sharedLabels: labels, value: value(lag) })),
      ),
  }
}

export const groupFamilies: readonly MetricFamily[] = [
  partitionFamily(
    'kafka_consumergroup_current_offset',
    'Offset that the group has committed.',
    lag => lag.offset,
  ),
  partitionFamily(
    'kafka_consumergroup_lag',
    'Records between the committed offset and the high watermark.',
    lag => lag.records,
  ),
  partitionFamily(
    'kafka_consumergroup_lag_seconds',
    'How long the first record that the group has not committed has been there, to about 5 seconds; counted from the start of the broker at most.',
    lag => lag.seconds,
  ),
  {
    name: 'kafka_consumergroup_members',
    type: 'gauge',
    labels: ['consumergroup'],
    help: 'Members of the group.',
    collect: ({ groups }) =>
      groups.flatMap(({ labels, members }) =>
        labels === null ? [] : [{ labels, value: members }],
      ),
  },
  {
    name: 'ottla_consumergroup_state',
    type: 'gauge',
    labels: ['consumergroup', 'state'],
    help: 'Always 1; says which state the group is in.',
    collect: ({ groups }) =>
      groups.flatMap(({ labels, state }) =>
        labels === null ? [] : [{ labels: { ...labels, state }, value: 1 }],
      ),
  },
  {
    name: 'ottla_groups',
    type: 'gauge',
    labels: ['state'],
    help: 'Groups that this broker coordinates, by state.',
    collect: ({ groups }) => {
      const counts = new Map<string, number>()
      for (const { state } of groups) counts.set(state, (counts.get(state) ?? 0) + 1)
      return Array.from(counts, ([state, value]) => ({ labels: { state }, value }))
    },
  },
  {
    name: 'ottla_group_rebalances_total',
    type: 'counter',
    labels: ['reason'],
    help: 'Rebalances of groups, by what began them.',
    collect: ({ metrics }) =>
      Array.from(metrics.groups.rebalances, ([reason, value]) => ({ labels: { reason }, value })),
  },
  {
    name: 'ottla_group_offset_commits_total',
    type: 'counter',
    labels: [],
    help: 'Offsets that groups have committed.',
    collect: ({ metrics }) => [{ value: metrics.groups.commits }],
  },
]
