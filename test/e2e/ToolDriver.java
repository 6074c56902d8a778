import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs many of Kafka's command line tools in one JVM, because starting one for each costs a second or more.
 *
 * One JSON line in, one out: {"main": class, "args": [...], "in": file or null, "out": file, "err": file} is answered
 * by {"exit": code}. The tool's standard streams go to the files. A tool that asks to exit stops there: what it would
 * write afterwards goes nowhere, as if the process had ended. The class "Records" is the writer below.
 */
public class ToolDriver {
    /** Thrown in place of ending the process. */
    static final class Exited extends Error {
        Exited() {
            super("exit", null, false, false);
        }
    }

    /** A stream that outlives the tools: they (and Scala's Console, and the logger) keep what they saw first. */
    static final class Switch extends OutputStream {
        volatile OutputStream target = OutputStream.nullOutputStream();

        @Override
        public void write(int b) throws IOException {
            target.write(b);
        }

        @Override
        public void write(byte[] b, int start, int length) throws IOException {
            target.write(b, start, length);
        }

        @Override
        public void flush() throws IOException {
            target.flush();
        }
    }

    static final Switch out = new Switch();
    static final Switch err = new Switch();
    static final ArrayDeque<Runnable> hooks = new ArrayDeque<>();
    static volatile Integer exitCode;

    public static void main(String[] ignored) throws Exception {
        PrintStream replies = System.out;
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        System.setOut(new PrintStream(out, true));
        System.setErr(new PrintStream(err, true));
        Exit.setExitProcedure((code, message) -> exited(code));
        Exit.setHaltProcedure((code, message) -> exited(code));
        Exit.setShutdownHookAdder((name, hook) -> hooks.push(hook));
        ObjectMapper json = new ObjectMapper();
        replies.println("{\"ready\":true}");
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            JsonNode request = json.readTree(line);
            int code = run(request);
            replies.println("{\"exit\":" + code + "}");
        }
        Runtime.getRuntime().halt(0);
    }

    static void exited(int code) {
        if (exitCode == null) exitCode = code;
        runHooks();
        out.target = OutputStream.nullOutputStream();
        err.target = OutputStream.nullOutputStream();
        throw new Exited();
    }

    static int run(JsonNode request) throws Exception {
        List<String> args = new ArrayList<>();
        request.get("args").forEach(arg -> args.add(arg.asText()));
        JsonNode in = request.get("in");
        boolean fed = in != null && !in.isNull();
        exitCode = null;
        hooks.clear();
        try (OutputStream toOut = new FileOutputStream(request.get("out").asText());
                OutputStream toErr = new FileOutputStream(request.get("err").asText());
                InputStream from = fed ? new FileInputStream(in.asText()) : new ByteArrayInputStream(new byte[0])) {
            out.target = new java.io.BufferedOutputStream(toOut, 1 << 16);
            err.target = toErr;
            OutputStream buffered = out.target;
            System.setIn(from);
            int code = call(request.get("main").asText(), args.toArray(new String[0]));
            runHooks();
            System.out.flush();
            buffered.flush();
            return code;
        } finally {
            out.target = OutputStream.nullOutputStream();
            err.target = OutputStream.nullOutputStream();
        }
    }

    static int call(String name, String[] args) throws Exception {
        try {
            if (name.equals("Records")) {
                Records.main(args);
                return 0;
            }
            Class<?> tool = Class.forName(name);
            forgetEarlierRuns(tool);
            tool.getMethod("main", String[].class).invoke(null, (Object) args);
            return exitCode == null ? 0 : exitCode;
        } catch (InvocationTargetException wrapped) {
            if (exitCode != null) return exitCode;
            wrapped.getCause().printStackTrace();
            return 1;
        } catch (Exited stopped) {
            return exitCode;
        } catch (Exception failed) {
            failed.printStackTrace();
            return 1;
        }
    }

    /** The console consumer counts its messages in a static field. */
    static void forgetEarlierRuns(Class<?> tool) throws Exception {
        for (Field field : tool.getDeclaredFields()) {
            if (!field.getName().equals("messageCount")) continue;
            field.setAccessible(true);
            field.setInt(null, 0);
        }
    }

    /** What the JVM would run as it ends; the console producer sends and complains there. */
    static void runHooks() {
        while (!hooks.isEmpty()) {
            try {
                hooks.pop().run();
            } catch (Throwable failed) {
                failed.printStackTrace();
            }
        }
        System.out.flush();
    }

    /**
     * Writes records with Kafka's own producer. Arguments: topic, file of records, then producer properties key=value.
     * A line of the file is {"key", "value": base64 or null, "headers": [[name, base64 or null], ...], "timestamp"}.
     * Prints the offset of each record, in order.
     */
    static final class Records {
        static byte[] bytes(JsonNode node) {
            return node.isNull() ? null : Base64.getDecoder().decode(node.asText());
        }

        static void main(String[] args) throws Exception {
            Properties properties = new Properties();
            for (int i = 2; i < args.length; i++) {
                int equals = args[i].indexOf('=');
                properties.put(args[i].substring(0, equals), args[i].substring(equals + 1));
            }
            ObjectMapper json = new ObjectMapper();
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            ByteArraySerializer plain = new ByteArraySerializer();
            try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(properties, plain, plain);
                    BufferedReader lines = Files.newBufferedReader(Path.of(args[1]))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    JsonNode node = json.readTree(line);
                    byte[] key = bytes(node.get("key"));
                    byte[] value = bytes(node.get("value"));
                    ProducerRecord<byte[], byte[]> record =
                            new ProducerRecord<>(args[0], 0, node.get("timestamp").asLong(), key, value);
                    for (JsonNode header : node.get("headers")) {
                        record.headers().add(header.get(0).asText(), bytes(header.get(1)));
                    }
                    sent.add(producer.send(record));
                }
            }
            StringBuilder offsets = new StringBuilder();
            for (Future<RecordMetadata> one : sent) offsets.append(one.get().offset()).append('\n');
            System.out.print(offsets);
        }
    }
}
