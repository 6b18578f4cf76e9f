package golden;

import java.io.PrintStream;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.common.config.ConfigDef;

/** Prints how ConfigDef.parseType of Apache Kafka reads texts. One line for each: the text as JSON, then the verdicts. */
final class JavaNumbers {
    static String json(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char unit : text.toCharArray()) {
            if (unit == '"' || unit == '\\') out.append('\\').append(unit);
            else if (unit >= ' ' && unit <= '~') out.append(unit);
            else out.append(String.format("\\u%04x", (int) unit));
        }
        return out.append('"').toString();
    }

    static String read(String text, ConfigDef.Type type) {
        try {
            Object value = ConfigDef.parseType("x", text, type);
            if (value instanceof Double) return String.format("%016x", Double.doubleToLongBits((Double) value));
            if (value instanceof List<?> list) {
                return list.isEmpty() ? "[]" : json(list.stream().map(Object::toString).collect(Collectors.joining("|")));
            }
            return value.toString();
        } catch (Exception e) {
            return "-";
        }
    }

    public static void main(String[] args) throws Exception {
        String[] whole = {
            "0", "-0", "+0", "00012", "1", "-1", "+1", "--1", "+-1", "-+1", "+", "-", "", " ",
            "1 ", " 1", "\t1\n", "\u00011\u001f", "\u00a01", "1\u00a0", "\u20031", "\u20281",
            "\ufeff1", "1 2", "1_000", "1,000", "1L", "1l", "0x10", "010", "1.0", "1.", "1e3",
            "\u0000", "32767", "32768", "-32768", "-32769", "+32767", "2147483647", "2147483648",
            "-2147483648", "-2147483649", "9223372036854775807", "9223372036854775808",
            "-9223372036854775808", "-9223372036854775809", "+9223372036854775807",
            "00000000000000000000000000000007", "99999999999999999999999999", "\u0663", "-\u0663",
            "+\u0663", "1\u0663", "\u0661\u0662\u0663", "\u06f3", "\u07c3", "\u0969", "\uff13",
            "\uff0b1", "\uff0d1", "\u22121", "\u00b2", "\u2460", "\u00bd", "\u4e09", "\u216b",
            "\ud835\udfcf", "\ud801\udca1", "\uff21", "\u3007", "\u0bf0", "\u09ef", "\u0e59",
            "\u17e9", "\u1819", "\ua8d9", "\uabf9", "\u0669\u06f9\u0969\uff19", "\ud835"
        };
        String[] doubles = {
            "0x1p-1", "0X1P-1", "0x1p-1d", "0x1p-1F", "0x1.8p1", "0x.8p0", "0x1.p0", "0x.p0",
            "0xp0", "0x1", "0x1.0", "0x1p", "0x1p+3", "0x1p-", "-0x1p-1", "+0x1p-1", "- 0x1p1",
            " 0x1p-1 ", "0x1p\u0661", "0x\u0661p1", "0x1.fffffffffffffp1023",
            "0x1.fffffffffffff8p1023", "0x1.fffffffffffff7fffp1023", "0x1p1024", "0x1p-1074",
            "0x1p-1075", "0x1.0000001p-1075", "0x1p-1076", "0x0.0000000000001p-1022",
            "0x1.00000000000008p0", "0x1.000000000000080000001p0", "0x1.00000000000018p0",
            "0x1.0000000000000800000000000000000000000000000000000001p0", "0x0p0", "-0x0p0",
            "0x0000000000000000000000000000000000001p0",
            "0x100000000000000000000000000000000000p-140",
            "0x0.00000000000000000000000000000000000001p152", "0x1p2147483647", "0x1p2147483648",
            "0x1p-2147483648", "0x1p-2147483649", "0x1p99999999999999999999",
            "0x1p-99999999999999999999", "0x0p99999999999999999999", "0x0.0p-99999999999999999999",
            "0x1.8p-1074", "0x1.7ffffffp-1074", "0x3p-1075", "0x1.fffffffffffff8p-1023",
            "0xabcdefABCDEFp0", "0x1g", "0x1p1.5", "0x1p1e1", "0x1_0p0", "0x1pd", "0x1p1dd",
            "0x1p1L", "0x.1", "0x1..8p0", "0x", "x1p1", "00x1p1", "0x8.8p-3f",
            "0x1.23456789abcdefp10", "0x1.0p-1022", "0x1.fffffffffffffp-1023", "NaN", "+NaN",
            "-NaN", "nan", "NAN", "NaNd", "NaN ", "N", "Infinity", "+Infinity", "-Infinity",
            "infinity", "INFINITY", "Inf", "inf", "Infinityd", "Infinit", "Infinityy", "1d", "1D",
            "1f", "1F", "1df", "1dd", "d", "f", "e", ".", ".d", "1.d", ".5d", "-.5", "+.5e1", "5.",
            "5.e1", ".e1", "e5", "1e", "1e+", "1e-", "1e5", "1E5", "1e+5", "1e-5", "1e5d", "1e5f",
            "1e 5", "1 e5", "1e5.0", "1e400", "-1e400", "1e-400", "1e99999999999999",
            "1e-99999999999999", "0e99999999999999", "1.7976931348623157e308",
            "1.7976931348623159e308", "4.9e-324", "2.4e-324", "2.4703282292062327e-324",
            "2.4703282292062328e-324", "2.2250738585072012e-308", "0.1", "0.5", "00.5", "000",
            "-0.0", "1.5.5", "1,5", "1_0.5", "\u0661.5", "0.\u0665", "\u0661",
            "0.30000000000000004", "9007199254740993", "123456789012345678901234567890", "0.1f",
            "0.1d", "0b1", "1e\u0661", "1$", "$1", "1%", "1.0L", "-", "- 1", "+ 1", "\t0.5\n",
            "0.5\u00a0",
            "0.50000000000000000000000000000000000000000000000000000000000000000000000001"
        };
        String[] booleans = {
            "true", "TRUE", "TrUe", " true ", "false", "FALSE", "fal\u017fe", "FAL\u017fE",
            "tru\u0395", "yes", "no", "1", "0", "t", "\uff54\uff52\uff55\uff45", "true\u0000",
            "true\u00a0", "truE\u0301"
        };
        String[] lists = {
            "", " ", ",", ",,", "a", "a,b", " a , b ", "a,b,", ",a", "a\u00a0,b", "a\u2003, b",
            "a\u000b,b", "a\u001c,b", "a\u001c", "\u0001a", "a\u0001,b", "a b,c d", "a\n,\nb",
            "a\r\n,b", "a\f,b", "\u0085a,b", "a\u0085,b"
        };
        PrintStream out = new PrintStream(System.out, true, "US-ASCII");
        out.println("# How ConfigDef.parseType of Apache Kafka 4.3.1 reads texts, on Java 17. Made by golden.JavaNumbers;");
        out.println("# compat-tests/golden/regenerate writes it anew.");
        out.println("# text, SHORT, INT, LONG, DOUBLE as bits, BOOLEAN, LIST joined with |; - is refused");
        Set<String> all = new LinkedHashSet<>();
        for (String[] some : List.of(whole, doubles, booleans, lists)) all.addAll(List.of(some));
        ConfigDef.Type[] types = {ConfigDef.Type.SHORT, ConfigDef.Type.INT, ConfigDef.Type.LONG, ConfigDef.Type.DOUBLE, ConfigDef.Type.BOOLEAN, ConfigDef.Type.LIST};
        for (String text : all) {
            StringBuilder line = new StringBuilder(json(text));
            for (ConfigDef.Type type : types) line.append('\t').append(read(text, type));
            out.println(line);
        }
        // Every digit of the Basic Multilingual Plane, by the first of ten.
        StringBuilder zeros = new StringBuilder("# zeros");
        for (int unit = 0; unit < 0x10000; unit++) {
            int digit = Character.digit((char) unit, 10);
            if (digit == 0) zeros.append(String.format(" %04x", unit));
            if (digit > 0 && Character.digit((char) (unit - 1), 10) != digit - 1) throw new AssertionError("a digit without a zero");
        }
        out.println(zeros);
    }
}
