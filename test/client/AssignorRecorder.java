import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.consumer.internals.AbstractStickyAssignor;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.utils.Utils;

/**
 * Writes down what Kafka's own classes answer: one JSON line for each generated group with the results of the four
 * assignors, or for each key its murmur2 hash.
 *
 *   AssignorRecorder assignors|racks|murmur2 SEED COUNT
 *
 * A group lives for some rounds: members come, go, change their topics, miss a round and come back with old claims, topics
 * grow; an old claim on a topic that its member has left is not made, because Kafka's classes then give partitions to who does
 * not want them, or never end. Each round begins with what the cooperative (or, every second group, the sticky) assignor gave in the one before.
 */
public class AssignorRecorder {
    static final class Member {
        final String id;
        final String instance;
        List<String> topics;
        List<TopicPartition> owned = new ArrayList<>();
        int generation = -1;
        /** Of the subscription itself: -1 as before version 2. */
        boolean isOld;

        Member(String id, String instance) {
            this.id = id;
            this.instance = instance;
        }
    }

    static Random random;

    public static void main(String[] args) {
        random = new Random(Long.parseLong(args[1]));
        int count = Integer.parseInt(args[2]);
        if (args[0].equals("murmur2")) for (int i = 0; i < count; i++) murmur2();
        else if (args[0].equals("racks")) for (int i = 0; i < count; i++) racks();
        else for (int done = 0; done < count; ) done += group(count - done);
    }

    static void murmur2() {
        byte[] key = new byte[random.nextInt(40)];
        random.nextBytes(key);
        StringBuilder hex = new StringBuilder();
        for (byte b : key) hex.append(String.format("%02x", b));
        System.out.println("[\"" + hex + "\"," + Utils.murmur2(key) + "]");
    }

    /** What RangeAssignor makes of a group whose members, and the replicas of its topics, are in racks, or do not say. */
    static void racks() {
        int rackCount = 1 + random.nextInt(4);
        int nodeCount = 1 + random.nextInt(6);
        List<Node> nodes = new ArrayList<>();
        boolean someAreNowhere = random.nextInt(4) == 0;
        for (int i = 0; i < nodeCount; i++) {
            String rack = someAreNowhere && random.nextInt(3) == 0 ? null : "r" + i % rackCount;
            nodes.add(new Node(i, "host", 9092, rack));
        }
        Map<String, List<PartitionInfo>> topics = new TreeMap<>();
        Map<String, Integer> counts = new TreeMap<>();
        int size = 1 + random.nextInt(8);
        for (int i = 1 + random.nextInt(5); i > 0; i--) {
            String topic = topicName(i - 1);
            int count = random.nextInt(2) == 0 ? size : 1 + random.nextInt(20);
            int replicas = 1 + random.nextInt(Math.min(3, nodeCount));
            List<PartitionInfo> partitions = new ArrayList<>();
            for (int p = 0; p < count; p++) {
                List<Node> shuffled = new ArrayList<>(nodes);
                Collections.shuffle(shuffled, random);
                Node[] those = shuffled.subList(0, replicas).toArray(new Node[0]);
                partitions.add(new PartitionInfo(topic, p, those[0], those, those));
            }
            topics.put(topic, partitions);
            counts.put(topic, count);
        }
        boolean isUniform = random.nextBoolean();
        List<Member> members = new ArrayList<>();
        for (int i = 1 + random.nextInt(8); i > 0; i--) members.add(newMember(counts, isUniform));
        int silent = random.nextInt(4);
        Map<String, String> racks = new HashMap<>();
        Map<String, Subscription> subscriptions = new HashMap<>();
        Set<String> wanted = new HashSet<>();
        for (Member member : members) {
            // A rack more than there are: nothing is near to who is there.
            if (random.nextInt(4) >= silent) racks.put(member.id, "r" + random.nextInt(rackCount + 1));
            Optional<String> rack = Optional.ofNullable(racks.get(member.id));
            Subscription subscription = new Subscription(member.topics, null, List.of(), -1, rack);
            if (member.instance != null) subscription.setGroupInstanceId(Optional.of(member.instance));
            subscriptions.put(member.id, subscription);
            wanted.addAll(member.topics);
        }
        topics.keySet().retainAll(wanted);
        StringBuilder line = new StringBuilder("{\"racks\":{");
        topics.forEach((topic, partitions) -> {
            line.append(quoted(topic)).append(":[");
            for (PartitionInfo partition : partitions) {
                TreeSet<String> names = new TreeSet<>();
                for (Node node : partition.replicas()) if (node.rack() != null) names.add(node.rack());
                line.append(quoted(String.join(" ", names))).append(',');
            }
            end(line, "],");
        });
        end(line, "},\"members\":[");
        for (Member member : members) {
            line.append('[').append(quoted(member.id)).append(',');
            line.append(member.instance == null ? "null" : quoted(member.instance)).append(',');
            line.append(quoted(String.join(" ", member.topics))).append(',');
            line.append(racks.containsKey(member.id) ? quoted(racks.get(member.id)) : "null").append("],");
        }
        end(line, "]");
        results(line, "range", members, new RangeAssignor().assignPartitions(topics, subscriptions));
        System.out.println(line.append('}'));
    }

    static int group(int most) {
        Map<String, Integer> counts = new TreeMap<>();
        int topics = 1 + random.nextInt(6);
        for (int i = 0; i < topics; i++) counts.put(topicName(i), 1 + random.nextInt(random.nextInt(4) == 0 ? 30 : 6));
        boolean isUniform = random.nextBoolean();
        boolean isCooperative = random.nextBoolean();
        List<Member> members = new ArrayList<>();
        int size = 1 + random.nextInt(random.nextInt(5) == 0 ? 30 : 6);
        for (int i = 0; i < size; i++) members.add(newMember(counts, isUniform));
        int rounds = 1 + random.nextInt(6);
        for (int round = 0; round < Math.min(rounds, most); round++) {
            Map<String, List<TopicPartition>> result = record(counts, members, isCooperative);
            if (result == null) return round + 1;
            for (Member member : members) {
                // One in ten misses the end of the round and keeps an old claim.
                if (random.nextInt(10) == 0) continue;
                member.owned = new ArrayList<>(result.get(member.id));
                member.generation = round + 1;
            }
            change(counts, members, isUniform);
        }
        return Math.min(rounds, most);
    }

    static String topicName(int i) {
        return new String[] {"a", "bb", "orders", "Zeta", "topic-with-a-long-name", "t.5", "t.6", "t.7"}[i];
    }

    static Member newMember(Map<String, Integer> counts, boolean isUniform) {
        String id = "consumer-" + random.nextInt(100) + "-" + Long.toHexString(random.nextLong());
        Member member = new Member(id, random.nextInt(5) == 0 ? "i" + random.nextInt(1000000) : null);
        member.topics = isUniform ? new ArrayList<>(counts.keySet()) : someTopics(counts);
        member.isOld = random.nextInt(12) == 0;
        return member;
    }

    static List<String> someTopics(Map<String, Integer> counts) {
        Set<String> topics = new TreeSet<>();
        List<String> all = new ArrayList<>(counts.keySet());
        for (int i = 1 + random.nextInt(all.size()); i > 0; i--) topics.add(all.get(random.nextInt(all.size())));
        return new ArrayList<>(topics);
    }

    static void change(Map<String, Integer> counts, List<Member> members, boolean isUniform) {
        for (int i = random.nextInt(3); i > 0 && members.size() > 1; i--) members.remove(random.nextInt(members.size()));
        for (int i = random.nextInt(3); i > 0; i--) members.add(newMember(counts, isUniform));
        if (random.nextInt(3) == 0) {
            String topic = topicName(random.nextInt(counts.size()));
            counts.put(topic, counts.get(topic) + 1 + random.nextInt(3));
        }
        if (random.nextInt(4) == 0 && counts.size() < 8) {
            String topic = topicName(counts.size());
            counts.put(topic, 1 + random.nextInt(4));
            if (isUniform) for (Member member : members) member.topics = new ArrayList<>(counts.keySet());
        }
        if (!isUniform && random.nextInt(3) == 0) {
            members.get(random.nextInt(members.size())).topics = someTopics(counts);
        }
        // Two that claim the same, as after a lost answer.
        if (random.nextInt(6) == 0 && members.size() > 1) {
            Member from = members.get(random.nextInt(members.size()));
            Member to = members.get(random.nextInt(members.size()));
            if (from != to && !from.owned.isEmpty()) {
                TopicPartition claimed = from.owned.get(random.nextInt(from.owned.size()));
                if (!to.owned.contains(claimed)) to.owned.add(claimed);
            }
        }
    }

    static Map<String, List<TopicPartition>> record(
            Map<String, Integer> all, List<Member> members, boolean isCooperative) {
        int latest = -1;
        for (Member member : members) latest = Math.max(latest, member.generation);
        for (Member member : members)
            if (member.generation < latest) member.owned.removeIf(partition -> !member.topics.contains(partition.topic()));
        Set<String> wanted = new HashSet<>();
        for (Member member : members) wanted.addAll(member.topics);
        Map<String, Integer> counts = new HashMap<>();
        for (String topic : wanted) counts.put(topic, all.get(topic));
        Map<String, Subscription> bare = new HashMap<>();
        Map<String, Subscription> sticky = new HashMap<>();
        Map<String, Subscription> cooperative = new HashMap<>();
        for (Member member : members) {
            int generation = member.isOld ? -1 : member.generation;
            ByteBuffer claims = member.generation < 0 ? null : claims(member);
            ByteBuffer number = ByteBuffer.allocate(4).putInt(0, member.generation);
            bare.put(member.id, subscription(member, null, List.of(), generation));
            sticky.put(member.id, subscription(member, claims, List.of(), generation));
            cooperative.put(member.id, subscription(member, number, member.owned, generation));
        }
        Map<String, List<TopicPartition>> stuck = answer(new StickyAssignor(), counts, sticky);
        Map<String, List<TopicPartition>> moved = answer(new CooperativeStickyAssignor(), counts, cooperative);
        StringBuilder line = new StringBuilder("{\"counts\":{");
        for (Map.Entry<String, Integer> entry : new TreeMap<>(counts).entrySet())
            line.append(quoted(entry.getKey())).append(':').append(entry.getValue()).append(',');
        end(line, "},\"members\":[");
        for (Member member : members) {
            line.append('[').append(quoted(member.id)).append(',');
            line.append(member.instance == null ? "null" : quoted(member.instance)).append(',');
            line.append(quoted(String.join(" ", member.topics))).append(',').append(member.generation).append(',');
            line.append(member.isOld ? 1 : 0).append(',').append(text(member.owned)).append("],");
        }
        end(line, "]");
        results(line, "range", members, new RangeAssignor().assign(counts, bare));
        results(line, "roundrobin", members, new RoundRobinAssignor().assign(counts, bare));
        results(line, "sticky", members, stuck);
        results(line, "cooperative-sticky", members, moved);
        System.out.println(line.append('}'));
        return isCooperative && moved != null || stuck == null ? moved : stuck;
    }

    /**
     * Null where Kafka's class fails (a partition's previous owner cannot take part in moving partitions) or does not end (two
     * partitions of a topic are moved in the place of each other).
     */
    static Map<String, List<TopicPartition>> answer(
            AbstractStickyAssignor assignor, Map<String, Integer> counts, Map<String, Subscription> members) {
        Map<String, List<TopicPartition>> result = new HashMap<>();
        Thread thread = new Thread(() -> {
            try {
                result.putAll(assignor.assign(counts, members));
            } catch (NullPointerException e) {
                result.clear();
            }
        });
        thread.setDaemon(true);
        thread.start();
        try {
            thread.join(5000);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        return thread.isAlive() || result.isEmpty() ? null : result;
    }

    static Subscription subscription(Member member, ByteBuffer data, List<TopicPartition> owned, int generation) {
        Subscription subscription = new Subscription(member.topics, data, owned, generation, Optional.empty());
        if (member.instance != null) subscription.setGroupInstanceId(Optional.of(member.instance));
        return subscription;
    }

    /** As StickyAssignor writes it: partitions by topic, then the generation. */
    static ByteBuffer claims(Member member) {
        Map<String, List<Integer>> topics = new TreeMap<>();
        for (TopicPartition partition : member.owned)
            topics.computeIfAbsent(partition.topic(), t -> new ArrayList<>()).add(partition.partition());
        ByteBuffer buffer = ByteBuffer.allocate(65536);
        buffer.putInt(topics.size());
        topics.forEach((topic, partitions) -> {
            byte[] name = topic.getBytes(StandardCharsets.UTF_8);
            buffer.putShort((short) name.length).put(name).putInt(partitions.size());
            for (int partition : partitions) buffer.putInt(partition);
        });
        return buffer.putInt(member.generation).flip();
    }

    static void results(
            StringBuilder line, String name, List<Member> members, Map<String, List<TopicPartition>> result) {
        line.append(",").append(quoted(name)).append(':');
        if (result == null) {
            line.append("null");
            return;
        }
        line.append('[');
        for (Member member : members) line.append(text(result.get(member.id))).append(',');
        end(line, "]");
    }

    /** `topic 0 1 2, other 0` of the sorted partitions. */
    static String text(List<TopicPartition> partitions) {
        Map<String, TreeSet<Integer>> topics = new TreeMap<>();
        for (TopicPartition partition : partitions)
            topics.computeIfAbsent(partition.topic(), t -> new TreeSet<>()).add(partition.partition());
        StringBuilder text = new StringBuilder();
        topics.forEach((topic, numbers) -> {
            text.append(text.length() == 0 ? "" : ",").append(topic);
            for (int number : numbers) text.append(' ').append(number);
        });
        return quoted(text.toString());
    }

    static String quoted(String text) {
        return '"' + text + '"';
    }

    static void end(StringBuilder line, String with) {
        if (line.charAt(line.length() - 1) == ',') line.setLength(line.length() - 1);
        line.append(with);
    }
}
