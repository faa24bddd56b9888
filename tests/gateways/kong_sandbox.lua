-- Runs one function of the rendering as Kong's pre-function does: in an environment with what Kong's sandbox has, and stand-ins for
-- the parts of `ngx` and `kong` that it uses. The argument is a file with the case; what came of it is written line by line.
local case = dofile(arg[1])
local headers, answer, body = case.headers or {}, case.answer or {}, case.body

local modules = {
  ["resty.sha256"] = {
    new = function()
      local text = ""
      return {
        update = function(_, more) text = text .. more end,
        final = function() return text end,
      }
    end,
  },
  ["resty.string"] = { to_hex = function(text) return assert(case.digests[text]) end },
}

local environment = {
  string = string, ipairs = ipairs, pairs = pairs, type = type, tostring = tostring, error = error,
  require = function(name)
    assert(case.modules[name], name .. " is not allowed in the sandbox")
    return modules[name]
  end,
  ngx = {
    var = case.var,
    req = {
      get_headers = function()
        local copy = {}
        for name, value in pairs(headers) do copy[name] = value end
        return copy, case.truncated and "truncated" or nil
      end,
      clear_header = function(name) headers[name:lower()] = nil end,
      set_header = function(name, value) headers[name:lower()] = value end,
    },
  },
  kong = {
    response = {
      error = function(status) error({ status = status }) end,
      get_source = function() return case.source end,
      get_status = function() return case.status end,
      get_header = function(name) return answer[name:lower()] end,
      set_header = function(name, value) answer[name:lower()] = value end,
      clear_header = function(name) answer[name:lower()] = nil end,
      get_raw_body = function() return body end,
      set_raw_body = function(text) body = text end,
    },
  },
}

local made = setfenv(assert(loadstring(case.code)), environment)()
local done, refused = pcall(made)
if not done then
  assert(type(refused) == "table", refused)
  print("refused", refused.status)
end
for name, value in pairs(headers) do
  print("header", name, type(value) == "table" and table.concat(value, ", ") or value)
end
for name, value in pairs(answer) do
  print("answer", name, value)
end
if body then
  print("body", body)
end
