-- One report after another, no two of them equal. EVENTS: how many events each has.
-- AUTH=NODE:SECRET: who sends them; without it no credentials are sent.
local events = tonumber(os.getenv("EVENTS") or "1")
local auth = os.getenv("AUTH") or ""
local headers = {["Content-Type"] = "application/json"}
local number = 0

local function base64(text)
	local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	local bits = text:gsub(".", function(c)
		local byte, out = c:byte(), ""
		for i = 7, 0, -1 do
			out = out .. math.floor(byte / 2 ^ i) % 2
		end
		return out
	end)
	bits = bits .. ("0"):rep(-#bits % 6)
	local out = bits:gsub("......", function(six)
		local digit = tonumber(six, 2) + 1
		return digits:sub(digit, digit)
	end)
	return out .. ("="):rep(-#out % 4)
end

if auth ~= "" then
	headers["Authorization"] = "Basic " .. base64(auth)
end

function setup(thread)
	thread:set("node", auth:match("^[^:]+") or tostring(thread):gsub("%W", ""))
end

function request()
	local list = {}
	for i = 1, events do
		number = number + 1
		list[i] = string.format(
			'{"kind":"handler","service":"bench","client":"u%d","type":"stats","stats":' ..
			'{"totalConns":%d,"currentConns":0,"inputBytes":100,"outputBytes":10,"totalErrs":0}}',
			number % 10000, number)
	end
	return wrk.format("POST", "/observer?node=" .. node, headers,
		'{"events":[' .. table.concat(list, ",") .. "]}")
end

function done(summary)
	local errors = summary.errors
	io.write(string.format("RESULT %d %f %d\n", summary.requests,
		1e6 * summary.requests / summary.duration,
		errors.status + errors.read + errors.write + errors.connect + errors.timeout))
end
