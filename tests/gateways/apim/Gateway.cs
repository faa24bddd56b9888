// What policies of Azure API Management see of a call, and what they do to it, as far as this project's policies go. The
// expressions themselves are compiled as they stand in the policies: tests/gateways/apim/pipeline.py writes Policies.cs.
// Members: https://learn.microsoft.com/azure/api-management/api-management-policy-expressions#ContextVariables
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;

public class Lists : Dictionary<string, string[]> {
    public Lists(StringComparer comparer) : base(comparer) {}
    public string GetValueOrDefault(string name, string otherwise) {
        return ContainsKey(name) ? string.Join(",", this[name]) : otherwise;
    }
    public void Add(string name, string value) {
        this[name] = ContainsKey(name) ? this[name].Concat(new [] { value }).ToArray() : new [] { value };
    }
}

public class Jwt {
    public string Algorithm;
    public IEnumerable<string> Audiences;
    public Lists Claims = new Lists(StringComparer.Ordinal);
    public DateTime? ExpirationTime, IssuedAt;
    public string Issuer, Subject;

    public static Jwt Read(string claims) {
        var jwt = new Jwt();
        foreach (var pair in Call.Pairs(claims)) {
            if (pair[0] == "alg") { jwt.Algorithm = pair[1]; } else { jwt.Claims.Add(pair[0], pair[1]); }
        }
        jwt.Audiences = jwt.Claims.ContainsKey("aud") ? jwt.Claims["aud"] : new string[0];
        jwt.Issuer = jwt.Claims.GetValueOrDefault("iss", null);
        jwt.Subject = jwt.Claims.GetValueOrDefault("sub", null);
        jwt.ExpirationTime = Time(jwt.Claims.GetValueOrDefault("exp", null));
        jwt.IssuedAt = Time(jwt.Claims.GetValueOrDefault("iat", null));
        return jwt;
    }
    static DateTime? Time(string seconds) {
        return seconds == null ? (DateTime?)null : DateTimeOffset.FromUnixTimeSeconds(long.Parse(seconds)).UtcDateTime;
    }
}

public class Url { public string Path; public Lists Query = new Lists(StringComparer.Ordinal); }
public class Request {
    public object Body;
    public Lists Headers = new Lists(StringComparer.OrdinalIgnoreCase);
    public string IpAddress, Method;
    public Url OriginalUrl = new Url();
}
public class Api { public string Path; }
public class Failure : Exception {
    public string Source_, Reason;
    public Failure(string source, string reason) { Source_ = source; Reason = reason; }
}
public class LastError { public string Source, Reason; }
public class Context {
    public Api Api = new Api();
    public LastError LastError;
    public Request Request = new Request();
    public Guid RequestId = Guid.NewGuid();
    public Dictionary<string, object> Variables = new Dictionary<string, object>();
}

public class Answer {
    public int Status;  // 0: forwarded
    public string Body = "";
    public Lists Headers = new Lists(StringComparer.OrdinalIgnoreCase);
}

public static class Call {
    static Dictionary<string, int> counts = new Dictionary<string, int>();
    public static string Claims;  // of a token whose signature holds; empty: it does not

    public static IEnumerable<string[]> Pairs(string text) {
        return text.Split('\x1f').Where(pair => pair != "").Select(pair => pair.Split(new [] { '\x1e' }, 2));
    }

    public static void Count(string policy, string key, int most) {
        key = policy + " " + key;
        counts[key] = counts.ContainsKey(key) ? counts[key] + 1 : 1;
        if (counts[key] > most) {
            throw new Failure(policy, policy == "quota-by-key" ? "QuotaExceeded" : "RateLimitExceeded");
        }
    }

    public static void Filter(string address, params string[] ranges) {
        var given = Number(address);
        for (var index = 0; index < ranges.Length; index += 2) {
            if (Number(ranges[index]) <= given && given <= Number(ranges[index + 1])) { return; }
        }
        throw new Failure("ip-filter", "CallerIpNotAllowed");
    }
    static uint Number(string address) {
        return address.Split('.').Aggregate(0u, (number, part) => number * 256 + uint.Parse(part));
    }

    // What validate-jwt does after the signature. Times have a tolerance of clock-skew.
    public static Jwt Validate(string token, int skew, string[] issuers, params string[][] required) {
        if (Claims == "" || token.Split('.').Length != 3) { throw new Failure("validate-jwt", "TokenSignatureInvalid"); }
        var jwt = Jwt.Read(Claims);
        if (!issuers.Contains(jwt.Issuer)) { throw new Failure("validate-jwt", "TokenIssuerNotAllowed"); }
        if (jwt.ExpirationTime == null || jwt.ExpirationTime.Value.AddSeconds(skew) < DateTime.UtcNow) {
            throw new Failure("validate-jwt", "TokenExpired");
        }
        foreach (var claim in required) {
            if (!jwt.Claims.ContainsKey(claim[0])) { throw new Failure("validate-jwt", "TokenClaimNotFound"); }
            var held = jwt.Claims[claim[0]];
            var wanted = claim.Skip(2);
            if (!(claim[1] == "any" ? wanted.Any(value => held.Contains(value)) : wanted.All(value => held.Contains(value)))) {
                throw new Failure("validate-jwt", "TokenClaimValueNotAllowed");
            }
        }
        return jwt;
    }

    // An empty line forgets all counts. Else a call a line: operation, method, API path, path, address, body or not, headers, query, claims. An answer a line.
    public static void Main() {
        string line;
        while ((line = Console.ReadLine()) != null) {
            if (line == "") { counts.Clear(); continue; }
            var fields = line.Split('\t').Select(field => Encoding.UTF8.GetString(Convert.FromBase64String(field))).ToArray();
            var context = new Context();
            context.Request.Method = fields[1];
            context.Api.Path = fields[2];
            context.Request.OriginalUrl.Path = fields[3];
            context.Request.IpAddress = fields[4];
            context.Request.Body = fields[5] == "" ? null : fields[5];
            foreach (var pair in Pairs(fields[6])) { context.Request.Headers.Add(pair[0], pair[1]); }
            foreach (var pair in Pairs(fields[7])) { context.Request.OriginalUrl.Query.Add(pair[0], pair[1]); }
            Claims = fields[8];
            var answer = Run(fields[0], context);
            var headers = answer.Headers.Select(header => header.Key + "\x1e" + string.Join(",", header.Value));
            var written = new [] { answer.Status.ToString(), answer.Body, string.Join("\x1f", headers), context.RequestId.ToString() };
            Console.WriteLine(string.Join("\t", written.Select(text => Convert.ToBase64String(Encoding.UTF8.GetBytes(text)))));
        }
    }

    static Answer Run(string operation, Context context) {
        try {
            return Policies.Inbound(operation, context);
        } catch (Exception error) {
            var failure = error as Failure ?? new Failure("set-variable", "ExpressionValueEvaluationFailure");
            context.LastError = new LastError { Source = failure.Source_, Reason = failure.Reason };
            return Policies.OnError(context);
        }
    }
}
