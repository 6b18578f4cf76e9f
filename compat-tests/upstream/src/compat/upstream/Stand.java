package compat.upstream;

import org.mockito.MockMakers;
import org.mockito.Mockito;
import org.mockito.stubbing.Answer;

import java.util.function.Supplier;

/**
 * Objects of classes inside a broker, for a broker that is another process. They answer the calls
 * whose answer can be asked over the wire, and refuse all others with an exception.
 */
final class Stand {
    private Stand() {}

    /** The constructor of the class does not run. */
    static <T> T in(Class<T> type, Answer<Object> answer) {
        return Mockito.mock(type, Mockito.withSettings().mockMaker(MockMakers.SUBCLASS).defaultAnswer(answer));
    }

    /** It answers one call. */
    static <T> T in(Class<T> type, String method, Supplier<Object> answer) {
        return in(type, call -> {
            if (call.getMethod().getName().equals(method)) return answer.get();
            throw refused(type, call.getMethod().getName());
        });
    }

    static UnsupportedOperationException refused(Class<?> type, String method) {
        return refused(type.getSimpleName() + "." + method);
    }

    static UnsupportedOperationException refused(String what) {
        return new UnsupportedOperationException("this runner has no " + what + ": the broker is another process");
    }
}
